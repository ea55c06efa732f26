"""Every benchmark ends alike: its own exit code, 2 for a mistake, 130 for Ctrl-C, never a traceback."""

import click
import pytest

from bench.program import program
from pipeline.errors import NetworkError


def ended_by(error: type[BaseException] | BaseException) -> click.Command:
    @click.command()
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt, 130, "interrupted"),
        (NetworkError("no network x"), 2, "error: no network x"),
        (click.UsageError("give --net"), 2, "error: give --net"),
    ],
)
def test_what_ends_a_program_is_one_line(
    error: type[BaseException] | BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program(ended_by(error))([]) == code
    assert capsys.readouterr().err.strip() == said


def test_the_exit_code_is_the_commands_own() -> None:
    @click.command()
    def command() -> int:
        return 1

    assert (program(command)([]), program(command)(["--help"])) == (1, 0)
