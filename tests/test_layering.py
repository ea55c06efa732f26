"""Arrows run one way: bench -> export -> stages -> pipeline."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = {
    "pipeline": {"pipeline"},
    "stages": {"pipeline", "stages"},
    "export": {"pipeline", "stages", "export"},
    "bench": {"pipeline", "stages", "export", "bench"},
}


def imported_packages(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names} & set(ALLOWED)


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_import_only_what_lies_below(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert imported_packages(path) <= ALLOWED[package], path


def test_package_files_are_empty() -> None:
    hubs = [p for package in ALLOWED for p in (ROOT / package).rglob("__init__.py") if p.read_text()]
    assert hubs == []
