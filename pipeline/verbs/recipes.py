"""`recipes`: the recipes and sweep files that come along."""

import click

from pipeline import recipe as recipes
from pipeline import render
from pipeline.sweep import definition as sweeps
from pipeline.verbs.options import json_option, print_json


@click.command(name="recipes", short_help="The shipped recipes and sweeps.")
@json_option
def command(as_json: bool) -> None:
    """The shipped recipes, and the shipped sweeps as `sweep NAME`."""
    found = {name: recipes.headline(path) for name, path in recipes.shipped().items()}
    found |= {f"sweep {name}": recipes.headline(path) for name, path in sweeps.shipped().items()}
    if as_json:
        print_json(found)
    else:
        click.echo(render.table(("recipe", "what it does"), list(found.items())))
