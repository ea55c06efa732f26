"""What code a stage depends on: the closure of first-party imports, each file reduced to its syntax tree.

Layout, comments and docstrings do not count, so that only an edit that can change a result changes a fingerprint.
"""

import ast
import hashlib
import sys
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from pipeline.identity.statcache import StatCache

ROOT = Path(__file__).resolve().parents[2]
FIRST_PARTY = ("stages", "export", "bench")
"""The engine itself stays outside: its changes are counted by the schema number of a key."""


@dataclass(frozen=True)
class Reached:
    """One module of a closure."""

    fingerprint: str
    imported_by: str | None
    """The module through which it was reached first; None for those that the closure starts from."""


def fingerprints(modules: Iterable[str], cache: StatCache) -> dict[str, str]:
    """{dotted module: fingerprint} of the given modules and of all first-party code that they import."""
    return {name: reached.fingerprint for name, reached in sorted(closure(modules, cache).items())}


def closure(modules: Iterable[str], cache: StatCache) -> dict[str, Reached]:
    """The given modules and all first-party code that they import, nearest first.

    First-party are this project's packages and those of the given modules: a user's own network counts whole.
    Nothing is imported, so that a name in a recipe runs no code.
    """
    modules = tuple(modules)
    packages = first_party(modules)
    found: dict[str, Reached] = {}
    seen: set[str] = set()
    waiting: deque[tuple[str, str | None]] = deque((module, None) for module in modules)
    while waiting:
        module, importer = waiting.popleft()
        if module in seen:
            continue
        seen.add(module)
        path = module_file(module, packages)
        if path is None:
            continue
        fingerprint, imports = cache.get(path, partial(describe, module=anchor(module, path)))
        found[module] = Reached(fingerprint, importer)
        parent = module.rpartition(".")[0]
        waiting.extend((name, module) for name in ([parent] if parent else []) + imports)
    return found


def chain(module: str, reached: Mapping[str, Reached]) -> tuple[str, ...]:
    """How a closure came to a module: from where it starts, import by import."""
    links = [module]
    while (importer := reached[links[-1]].imported_by) is not None:
        links.append(importer)
    return tuple(reversed(links))


def anchor(module: str, path: Path) -> str:
    """The dotted name from which a file's relative imports count: a package's own imports start inside it."""
    return f"{module}.__init__" if path.name == "__init__.py" else module


def first_party(modules: Iterable[str]) -> frozenset[str]:
    """Top-level packages whose code counts."""
    return frozenset({*FIRST_PARTY, *(module.partition(".")[0] for module in modules)})


def module_file(module: str, packages: Collection[str] = FIRST_PARTY) -> Path | None:
    """Source file of a first-party module; None for anything else."""
    top, *rest = module.split(".")
    if top not in packages:
        return None
    root = ROOT if top in FIRST_PARTY else folder_of(top)
    if root is None:
        return None
    base = root.joinpath(top, *rest)
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def folder_of(package: str) -> Path | None:
    """Folder in which a top-level package or module lies on the import path."""
    spec = PathFinder.find_spec(package, [str(Path.cwd()), *sys.path])
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).parent
    return Path(spec.origin).parent if spec.origin else None


def describe(source: bytes, module: str) -> list[Any]:
    """Fingerprint of a source text and every dotted name that it may import, anywhere in it."""
    tree = ast.parse(source)
    return [hashlib.sha256(canonical(tree).encode()).hexdigest(), sorted(imported(tree, module))]


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
    return names


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
