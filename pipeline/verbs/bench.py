"""`bench check`: the programs of the benchmark that have something to say of a recipe's report."""

from collections.abc import Mapping
from types import MappingProxyType

import click

from pipeline.verbs.lazy import LazyGroup

PROGRAMS: Mapping[str, str] = MappingProxyType({"check": "bench.check"})


@click.group(name="bench", cls=LazyGroup, modules=PROGRAMS)
def command() -> None:
    """Hold a report to an earlier one."""
