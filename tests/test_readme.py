"""The README's commands exist, and the settings that it and the documents name are those of the recipes."""

import re
import shlex
from pathlib import Path

import pytest

from pipeline import recipe
from pipeline.cli import VERBS, cli
from pipeline.graph import STAGES

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"^(?:\.venv/bin/)?python -m pipeline (.*?)(?:  +#.*)?$", TEXT, re.MULTILINE)))
SECTIONS = "|".join(re.escape(stage.name) for stage in STAGES)
SETTING = re.compile(
    rf"--set '?((?:{SECTIONS})\.[\w.]+=(?:\{{[^}}]*\}}|\[[^\]]*\]|[^\s'`]+))|`((?:{SECTIONS})\.[\w.]+ = [^`]+)`"
)
"""`--set section.key=value`, or the same in backticks as TOML has it."""


def test_no_placeholder_is_left() -> None:
    assert not re.findall(r"\b[A-Z]+_[A-Z_]+\b", TEXT)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command: str) -> None:
    verb, *words = shlex.split(command)
    assert verb in VERBS
    cli.get_command(None, verb).make_context(verb, list(words))


def test_every_verb_is_shown() -> None:
    assert {command.split()[0] for command in COMMANDS} == set(VERBS)


@pytest.mark.parametrize("name", ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_settings_are_those_of_a_recipe(name: str) -> None:
    for given, shown in SETTING.findall((ROOT / name).read_text()):
        recipe.load("quickstart", [given or shown])


def test_every_document_is_named() -> None:
    documents = [f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")]
    assert [name for name in documents if name not in TEXT] == []


def test_there_are_settings_to_check() -> None:
    assert len(SETTING.findall(TEXT)) >= 5
