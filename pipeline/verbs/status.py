"""`status`: the state of every stage."""

from pathlib import Path

import click

from pipeline import render
from pipeline.verbs.options import planner_of, print_json, with_recipe


@click.command(name="status")
@with_recipe
def command(recipe: str, settings: tuple[str, ...], home: Path, as_json: bool) -> None:
    """State of every stage, and why."""
    statuses = list(planner_of(recipe, settings, home).statuses().values())
    if as_json:
        print_json([s.to_json() for s in statuses])
    else:
        click.echo(render.status_table(statuses))
