"""The command line: the verbs by name, each loaded when it is called, and the exit codes."""

import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import click

from pipeline.errors import PipelineError
from pipeline.verbs.options import say

VERBS: Mapping[str, str] = MappingProxyType(
    {
        "run": "pipeline.verbs.run",
        "status": "pipeline.verbs.status",
        "explain": "pipeline.verbs.explain",
        "show": "pipeline.verbs.show",
        "graph": "pipeline.verbs.graph",
        "accept": "pipeline.verbs.accept",
        "bundle": "pipeline.verbs.bundle",
        "report": "pipeline.verbs.report",
        "recipes": "pipeline.verbs.recipes",
    }
)
"""Verb to the dotted module that holds its click command as `command`."""
INTERRUPTED = 130


class Verbs(click.Group):
    """Loads a verb's module only when that verb is asked for: status must not wait for what push imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(VERBS[cmd_name]).command
        return command


@click.group(cls=Verbs)
def cli() -> None:
    """Distil a segmentation network, export it, prove it and measure it."""


def main() -> int:
    """Exit code 0; 2 and one line for a user's error; 130 for Ctrl-C."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        return interrupted()
    except KeyboardInterrupt:
        return interrupted()
    except click.ClickException as error:
        error.show()
        return 2
    except PipelineError as error:
        say(f"error: {error}")
        return 2
    return code if isinstance(code, int) else 0


def interrupted() -> int:
    print("interrupted: nothing half made was published; the same command goes on from here", file=sys.stderr)
    return INTERRUPTED
