"""The README's commands exist and its promises carry numbers."""

import re
import shlex
from pathlib import Path

import pytest

from pipeline.cli import VERBS, cli

TEXT = (Path(__file__).resolve().parent.parent / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"^(?:\.venv/bin/)?python -m pipeline (.*?)(?:  +#.*)?$", TEXT, re.MULTILINE)))


def test_no_placeholder_is_left() -> None:
    assert not re.findall(r"\b[A-Z]+_[A-Z_]+\b", TEXT)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command: str) -> None:
    verb, *words = shlex.split(command)
    assert verb in VERBS
    cli.get_command(None, verb).make_context(verb, list(words))


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) >= 5
