"""Which first-party modules a stage really imports while it runs: a check on what its key says it depends on."""

import builtins
import importlib
import importlib.util
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from pipeline.errors import StoreError


@contextmanager
def recorded(packages: Collection[str]) -> Iterator[set[str]]:
    """The modules of `packages` that are imported in the block, also those that were loaded before it.

    Both ways of importing are watched, since a module that is already loaded passes no import hook. Processes that
    the block forks are not watched.
    """
    found: set[str] = set()
    import_statement, import_module = builtins.__import__, importlib.import_module

    def watched_statement(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: tuple[str, ...] | None = (),
        level: int = 0,
    ) -> Any:
        module = import_statement(name, globals, locals, fromlist or (), level)
        if level:
            name = importlib.util.resolve_name("." * level + name, (globals or {}).get("__package__"))
        if name.partition(".")[0] in packages:
            found.add(name)
            found.update(f"{name}.{item}" for item in fromlist or () if f"{name}.{item}" in sys.modules)
        return module

    def watched_module(name: str, package: str | None = None) -> Any:
        module = import_module(name, package)
        if module.__name__.partition(".")[0] in packages:
            found.add(module.__name__)
        return module

    builtins.__import__, importlib.import_module = cast(Any, watched_statement), watched_module
    try:
        yield found
    finally:
        builtins.__import__, importlib.import_module = import_statement, import_module


def check_covered(stage: str, imported: Collection[str], code: Collection[str]) -> None:
    """StoreError where a stage imported a module that its key does not count."""
    missed = sorted(set(imported) - set(code))
    if missed:
        raise StoreError(
            f"{stage} imported {', '.join(missed)}, which its key does not count: an edit there would go unseen. "
            f"Nothing was published; import it with a statement, or name it in the stage's code(config)"
        )
