"""What ends a benchmark before its time is one line and a code."""

from collections.abc import Callable
from pathlib import Path

import click
import pytest

from bench.program import program
from pipeline.errors import NetworkError


def failing(error: BaseException) -> Callable[..., int]:
    @click.command()
    def command() -> None:
        raise error

    return program(command)


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (NetworkError("no such thing"), 2, "error: no such thing"),
        (click.UsageError("give a MODEL"), 2, "error: give a MODEL"),
        (PermissionError(13, "Permission denied", "/out"), 2, "error: /out: Permission denied: give another path"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_one_line_and_a_code(error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(error)([]) == code
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(told)


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(OSError, match="pipe"):
        failing(OSError("a broken pipe of its own"))([])


def test_help_is_code_0(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert failing(NetworkError("never"))(["--help"]) == 0
    assert "Usage" in capsys.readouterr().out
