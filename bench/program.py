"""The last lines of every benchmark: a command as a program."""

from collections.abc import Callable

import click

from pipeline.errors import PipelineError

MISTAKE = 2


def program(command: click.Command) -> Callable[..., int]:
    """`main(arguments) -> exit code` of a command, its own or 0; a user's mistake is one line on stderr and code 2."""

    def main(arguments: list[str] | None = None) -> int:
        try:
            code = command.main(arguments, standalone_mode=False)
        except (click.ClickException, PipelineError) as error:
            message = error.format_message() if isinstance(error, click.ClickException) else str(error)
            click.echo(f"error: {message}", err=True)
            return MISTAKE
        return code if isinstance(code, int) else 0

    return main
