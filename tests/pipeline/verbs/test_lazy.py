"""Groups whose commands are found by name: all load, and a name that is none gets the nearest."""

import click
import pytest
from click.testing import CliRunner

from pipeline.cli import VERBS, cli
from pipeline.verbs.bench import command as bench


@pytest.mark.parametrize("group", [cli, bench], ids=["pipeline", "bench"])
def test_every_command_loads_and_has_a_help(group: click.Group) -> None:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None and command.get_short_help_str(), name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stauts"], "no command 'stauts': did you mean 'status'?"),
        (["bench", "chek"], "no command 'chek': did you mean 'check'?"),
        (["zzzz"], "no command 'zzzz': choose one of run, status, explain"),
    ],
)
def test_an_unknown_name_offers_the_nearest(words: list[str], said: str) -> None:
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2 and said in done.output


def test_verbs_are_listed_in_their_order() -> None:
    assert cli.list_commands(click.Context(cli)) == list(VERBS)
