"""How far a transfer has come, on stderr."""

import io
import sys

import pytest

from pipeline.remote import progress
from pipeline.remote.progress import byte_progress


def test_a_line_now_and_then(capsys, monkeypatch) -> None:
    with byte_progress("pull teacher@123", 4_000_000) as count:
        count(1_000_000)
        assert capsys.readouterr() == ("", "")
        monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
        count(1_500_000)
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("pull teacher@123: 2.5 of 4.0 MB, ") and err.endswith(" MB/s\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with byte_progress("push teacher@123", 4_000_000) as count:
        count(4_000_000)
    assert "push teacher@123" in terminal.getvalue() and "4.0/4.0 MB" in terminal.getvalue()
