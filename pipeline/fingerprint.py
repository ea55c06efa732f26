"""What code a stage depends on: the closure of first-party imports, each file reduced to its syntax tree.

Layout, comments and docstrings do not count, so that only an edit that can change a result changes a fingerprint.
"""

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.statcache import StatCache

ROOT = Path(__file__).resolve().parent.parent
FIRST_PARTY = ("stages", "export", "bench")
"""The engine itself stays outside: its changes are counted by the schema number of a key."""


def fingerprints(modules: Iterable[str], cache: StatCache) -> dict[str, str]:
    """{dotted module: fingerprint} of the given modules and of all first-party code that they import."""
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = module_file(module)
        if module in found or path is None:
            continue
        fingerprint, imports = cache.get(path, lambda source, name=module: list(describe(source, name)))
        found[module] = fingerprint
        waiting.extend(imports)
    return dict(sorted(found.items()))


def module_file(module: str) -> Path | None:
    """Source file of a first-party module; None for anything else."""
    if module.partition(".")[0] not in FIRST_PARTY:
        return None
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def describe(source: bytes, module: str) -> tuple[str, list[str]]:
    """Fingerprint of a source text and the dotted names that it imports, anywhere in it."""
    tree = ast.parse(source)
    return hashlib.sha256(canonical(tree).encode()).hexdigest(), sorted(imported(tree, module))


def imported(tree: ast.Module, module: str) -> set[str]:
    """Every dotted name that an import statement of the tree may load."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")[: -node.level]
                base = ".".join([*package, *([base] if base else [])])
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return {name for name in names if name.partition(".")[0] in FIRST_PARTY}


def canonical(node: Any) -> str:
    """Text of a syntax tree that is equal on every supported Python: type names and non-empty fields."""
    if isinstance(node, list):
        return "[" + ",".join(canonical(n) for n in node) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(value, list):
            value = [statement for statement in value if not is_docstring(statement)]
        if name != "kind" and value is not None and value != []:
            fields.append(f"{name}={canonical(value)}")
    return f"{type(node).__name__}({','.join(fields)})"


def is_docstring(statement: ast.stmt) -> bool:
    """Whether a statement is a bare string: the docstring of a module, class, function or field."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
