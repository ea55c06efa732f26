"""`graph`: what each stage reads."""

from pathlib import Path

import click

from pipeline import render
from pipeline.graph import NAMES
from pipeline.verbs.options import planner_of, print_json, with_recipe


@click.command(name="graph")
@with_recipe
def command(recipe: str, settings: tuple[str, ...], home: Path, as_json: bool) -> None:
    """The stages and what each reads under this recipe."""
    planner = planner_of(recipe, settings, home)
    needs = {name: list(planner.needs[name]) for name in NAMES}
    if as_json:
        print_json(needs)
    else:
        click.echo(render.graph_text(needs))
