"""A click group whose commands are found by dotted name, each imported when it is called."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from pipeline.nearest import nearest


class LazyGroup(click.Group):
    """`modules`: a command's name to the dotted module that holds it as `command`.

    Nothing is imported for a command that was not asked for: `status` must not wait for what `push` needs.
    """

    def __init__(self, *arguments: Any, modules: Mapping[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order in which `--help` lists them."""
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command, its module imported now; None for a name that is none."""
        if cmd_name not in self.modules:
            return None
        command: click.Command = import_module(self.modules[cmd_name]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with; UsageError that offers the nearest where there is none."""
        if args[0] not in self.modules:
            raise click.UsageError(f"no command {args[0]!r}: {nearest(args[0], self.modules)}", ctx)
        return super().resolve_command(ctx, args)
