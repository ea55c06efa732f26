"""`diff`: what differs between two artifacts."""

from pathlib import Path

import click

from pipeline.history.diff import differences
from pipeline.history.render import diff_text
from pipeline.references import resolve
from pipeline.verbs.options import planner_of, print_json, say, with_recipe


@click.command(name="diff", short_help="Compare two artifacts of one kind.")
@click.argument("old")
@click.argument("new")
@with_recipe
def command(old: str, new: str, recipe: str, settings: tuple[str, ...], home: Path, as_json: bool) -> None:
    """Compare two artifacts of one kind: configuration, code, inputs, environment, scores by class, latency, cost.

    OLD and NEW are references: a stage, STAGE@PREFIX of a digest or key, tag:NAME, or SWEEP/CELL.
    """
    planner = planner_of(recipe, settings, home)
    difference = differences(resolve(old, planner, say), resolve(new, planner, say))
    if as_json:
        print_json(difference.to_json())
    else:
        click.echo(diff_text(difference))
