"""What Python source offers by name, read from its text: no code of it runs, so that planning may ask."""

import ast
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


@contextmanager
def working_folder_first() -> Iterator[None]:
    """The current folder in front of the import path, as `python -m` puts it there."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def find(module: str) -> ModuleSpec | None:
    """Where a dotted module lies, seen from the current folder; None where there is none."""
    top, *below = module.split(".")
    with working_folder_first():
        spec = importlib.util.find_spec(top)
    name = top
    for part in below:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        # find_spec on a dotted name would import the packages above it.
        spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    return spec


def folder_of(package: str) -> Path | None:
    """Folder of an installed package; None where it is not installed."""
    spec = find(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def defined(path: Path) -> set[str] | None:
    """Names that a file's top level binds; None where a star import or `__getattr__` may bind more."""
    names: set[str] = set()
    for node in ast.parse(path.read_bytes()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.ImportFrom(names=aliases) | ast.Import(names=aliases):
                names.update(alias.asname or alias.name for alias in aliases)
            case _:
                names.update(leaf.id for leaf in ast.walk(node) if isinstance(leaf, ast.Name))
    return None if names & {"*", "__getattr__"} else names


def public_functions(path: Path) -> list[str]:
    """Functions that a file defines and lists in its `__all__`."""
    body = ast.parse(path.read_bytes()).body
    listed: set[str] = set()
    for node in body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            listed |= set(ast.literal_eval(node.value))
    return [node.name for node in body if isinstance(node, ast.FunctionDef) and node.name in listed]


def imported_from(path: Path, below: str) -> list[str]:
    """Names that a package's file imports from its own modules below `below`."""
    return [
        alias.asname or alias.name
        for node in ast.parse(path.read_bytes()).body
        if isinstance(node, ast.ImportFrom) and node.level == 1 and (node.module or "").startswith(f"{below}.")
        for alias in node.names
    ]
