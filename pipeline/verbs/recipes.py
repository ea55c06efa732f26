"""`recipes`: the recipes that come along."""

import click

from pipeline import recipe as recipes
from pipeline import render
from pipeline.verbs.options import json_option, print_json


@click.command(name="recipes")
@json_option
def command(as_json: bool) -> None:
    """The shipped recipes."""
    found = {name: recipes.headline(path) for name, path in recipes.shipped().items()}
    if as_json:
        print_json(found)
    else:
        click.echo(render.table(("recipe", "what it does"), list(found.items())))
