"""The last lines of every benchmark: a command as a program."""

from collections.abc import Callable

import click

from pipeline.errors import USER_ERROR, PipelineError
from pipeline.signals import INTERRUPTED


def program(command: click.Command) -> Callable[..., int]:
    """`main(arguments) -> exit code` of a command, its own or 0; 2 for a user's mistake, 130 for Ctrl-C, in a line."""

    def main(arguments: list[str] | None = None) -> int:
        try:
            code = command.main(arguments, standalone_mode=False)
        except click.Abort:
            # click makes one of a KeyboardInterrupt.
            click.echo("interrupted", err=True)
            return INTERRUPTED
        except (click.ClickException, PipelineError) as error:
            message = error.format_message() if isinstance(error, click.ClickException) else str(error)
            click.echo(f"error: {message}", err=True)
            return USER_ERROR
        return code if isinstance(code, int) else 0

    return main
