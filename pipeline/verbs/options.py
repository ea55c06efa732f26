"""What the verbs share: the options that find a recipe and its store, and how they print."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pipeline import recipe as recipes
from pipeline.facts import facts
from pipeline.plan import Planner
from pipeline.store.store import Store

recipe_option = click.option("--recipe", default="quickstart", show_default=True, help="Shipped name or a .toml file.")
set_option = click.option("--set", "settings", multiple=True, metavar="A.B=V", help="Change one value of the recipe.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
device_option = click.option(
    "--device",
    type=click.Choice(("auto", "cpu", "cuda")),
    default="auto",
    show_default=True,
    help="Where networks run; auto takes the GPU where there is one.",
)
home_option = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".pipeline"),
    envvar="PIPELINE_HOME",
    show_default=True,
    help="Folder of the store.",
)


def with_recipe(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options by which a verb finds its recipe and its store."""
    for option in (json_option, home_option, set_option, recipe_option):
        command = option(command)
    return command


def planner_of(recipe: str, settings: tuple[str, ...], home: Path, device: str = "auto") -> Planner:
    """The planner of a command line's recipe, store and machine."""
    return Planner(recipes.load(recipe, settings), Store(home.resolve()), facts(device))


def say(line: str) -> None:
    """Progress goes to stderr, so that stdout holds the result alone."""
    print(line, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=1))
