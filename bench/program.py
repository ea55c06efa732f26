"""What the command lines of the benchmarks share: sizes, and a command as a program."""

import re
from collections.abc import Callable

import click

from pipeline.errors import USER_ERROR, NetworkError, PipelineError
from pipeline.signals import INTERRUPTED


def parse_size(text: str) -> tuple[int, int]:
    """`HEIGHTxWIDTH` in pixels, e.g. `512x1024`; NetworkError for anything else."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text.strip().lower())
    if match is None:
        raise NetworkError(f"--size {text!r} is not HEIGHTxWIDTH in pixels, e.g. 512x1024")
    return int(match[1]), int(match[2])


def program(command: click.Command) -> Callable[..., int]:
    """`main(arguments) -> exit code` of a command, its own or 0.

    A user's mistake, or a file that cannot be written, is one line on stderr and code 2; Ctrl-C is one and code 130.
    """

    def main(arguments: list[str] | None = None) -> int:
        try:
            code = command.main(arguments, standalone_mode=False)
        except (click.ClickException, PipelineError) as error:
            message = error.format_message() if isinstance(error, click.ClickException) else str(error)
            return told(f"error: {message}", USER_ERROR)
        except OSError as error:
            if error.filename is None or error.strerror is None:
                raise
            return told(f"error: {error.filename}: {error.strerror}: give another path", USER_ERROR)
        except click.exceptions.Abort:
            # click makes one of a KeyboardInterrupt.
            return told("interrupted: nothing was measured to the end", INTERRUPTED)
        return code if isinstance(code, int) else 0

    return main


def told(message: str, code: int) -> int:
    """The exit code, once the message is on stderr."""
    click.echo(message, err=True)
    return code
