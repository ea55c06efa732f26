"""`status`: the state of every stage."""

from pathlib import Path

import click

from pipeline import render
from pipeline.plan import SETTLED, State
from pipeline.verbs.options import planner_of, print_json, with_recipe


@click.command(name="status")
@with_recipe
@click.option("--check", is_flag=True, help="Exit code 1 unless every needed stage is current or skipped.")
def command(recipe: str, settings: tuple[str, ...], home: Path, as_json: bool, check: bool) -> int:
    """State of every stage, and why."""
    statuses = list(planner_of(recipe, settings, home).statuses().values())
    open_stages = [s for s in statuses if s.state not in (*SETTLED, State.NOT_NEEDED)]
    if as_json:
        print_json([s.to_json() for s in statuses])
    elif check:
        click.echo(render.check_text(open_stages))
    else:
        click.echo(render.status_table(statuses))
    return 1 if check and open_stages else 0
