"""What a machine's files and programs say, or None where they do not answer. Nothing here sets anything.

Python 3.10: it travels to boards.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

TIMEOUT_S = 10


def text(path: Path | str) -> str | None:
    """A file's text, stripped of white space and NUL bytes; None where it cannot be read or is empty.

    A thermal zone without a sensor answers "try again", which Python's buffered reading takes for a TypeError.
    """
    try:
        return Path(path).read_bytes().decode(errors="replace").strip("\0\n\t ") or None
    except (OSError, TypeError):
        return None


def number(path: Path | str) -> int | None:
    """A file's whole number; None where it holds none."""
    try:
        return int(text(path) or "")
    except ValueError:
        return None


def said(*command: str) -> str | None:
    """What a program writes to stdout; None where it is not installed, fails, or takes longer than 10 s."""
    return answer(command)[0]


def answer(command: Sequence[str]) -> tuple[str | None, str]:
    """(stdout, ""), or (None, why there is none)."""
    program = shutil.which(command[0])
    if program is None:
        return None, f"{command[0]} is not installed"
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        return None, lines[-1] if lines else f"{command[0]} ended with code {done.returncode}"
    return done.stdout, ""
