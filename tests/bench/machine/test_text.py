"""Files and programs that answer, and those that do not."""

import sys
from pathlib import Path

import pytest

from bench.machine.text import answer, number, said, text


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"NVIDIA Jetson AGX Orin\0\n")
    assert text(path) == "NVIDIA Jetson AGX Orin"
    assert number(path) is None
    path.write_text("42\n")
    assert number(path) == 42
    path.write_text("\n")
    assert text(path) is None
    assert text(tmp_path / "nothing") is None
    assert number(tmp_path) is None


def test_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(sys.executable, "-c", "print(5)") == "5\n"
    assert answer(("no-such-program-at-all",)) == (None, "no-such-program-at-all is not installed")
    assert answer((sys.executable, "-c", "raise SystemExit('must be root')")) == (None, "must be root")
    assert answer((sys.executable, "-c", "raise SystemExit(3)"))[1].endswith("ended with code 3")
    monkeypatch.setattr("bench.machine.text.TIMEOUT_S", 0.2)
    found, why = answer((sys.executable, "-c", "import time; time.sleep(60)"))
    assert found is None and "timed out" in why
