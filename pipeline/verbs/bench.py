"""`bench check`: the programs of the benchmark that have something to say of a recipe's report."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import click

PROGRAMS: Mapping[str, str] = MappingProxyType({"check": "bench.check"})
"""Name to the dotted module that holds its click command as `command`."""


class Programs(click.Group):
    """Loads a program only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The programs in the order in which `--help` lists them."""
        return list(PROGRAMS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A program's command, its module imported now; None for a name that is none."""
        if cmd_name not in PROGRAMS:
            return None
        command: click.Command = import_module(PROGRAMS[cmd_name]).command
        return command


@click.group(name="bench", cls=Programs)
def command() -> None:
    """Hold a report to an earlier one."""
