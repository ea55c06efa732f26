"""`lineage`: what an artifact was made from, and what was made from it."""

from pathlib import Path

import click

from pipeline.history.lineage import Lineage
from pipeline.history.render import lineage_text
from pipeline.references import resolve
from pipeline.store.inventory import take_inventory
from pipeline.verbs.options import planner_of, print_json, say, with_recipe


@click.command(name="lineage", short_help="What an artifact was made from, and what from it.")
@click.argument("reference")
@with_recipe
def command(reference: str, recipe: str, settings: tuple[str, ...], home: Path, as_json: bool) -> None:
    """The artifacts from which REFERENCE was made, up to the data, and those that were made from it."""
    planner = planner_of(recipe, settings, home)
    tree = Lineage(take_inventory(planner.store)).tree(resolve(reference, planner, say))
    if as_json:
        print_json(tree)
    else:
        click.echo(lineage_text(tree))
