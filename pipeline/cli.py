"""The command line: thin verbs over plan, run and render."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pipeline import recipe as recipes
from pipeline.errors import PipelineError, StoreError
from pipeline.facts import facts
from pipeline.graph import NAMES, matching
from pipeline.plan import Planner, select
from pipeline.store import Store

INTERRUPTED = 130

recipe_option = click.option("--recipe", default="quickstart", show_default=True, help="Shipped name or a .toml file.")
set_option = click.option("--set", "settings", multiple=True, metavar="A.B=V", help="Change one value of the recipe.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
home_option = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".pipeline"),
    envvar="PIPELINE_HOME",
    show_default=True,
    help="Folder of the store.",
)


def with_recipe(command: Callable[..., None]) -> Callable[..., None]:
    """The options by which every verb finds its recipe and its store."""
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
    click.echo(json.dumps(value, indent=1))


@click.group()
def cli() -> None:
    """Distil a segmentation network, export it, prove it and measure it."""


@cli.command()
@with_recipe
@click.option("--until", help="Last stage to run, e.g. distill or export.")
@click.option("--from", "start", help="First stage to run; those before it must be current.")
@click.option("--only", help="Run this stage alone.")
@click.option("--force", help="Run this stage although it is current.")
@click.option("--dry-run", is_flag=True, help="Say what would run and why; run nothing.")
@click.option("--device", type=click.Choice(("auto", "cpu", "cuda")), default="auto", show_default=True)
def run(
    recipe: str,
    settings: tuple[str, ...],
    home: Path,
    as_json: bool,
    until: str | None,
    start: str | None,
    only: str | None,
    force: str | None,
    dry_run: bool,
    device: str,
) -> None:
    """Bring stages up to date; what is current is left alone."""
    from pipeline import render
    from pipeline import run as running

    planner = planner_of(recipe, settings, home, device)
    selection = select(planner.needs, until, start, only, force)
    rows = running.dry_run(planner, selection) if dry_run else running.run(planner, selection, say)
    if as_json:
        print_json([row.to_json() for row in rows])
        return
    click.echo(render.run_table(rows))
    if not dry_run and not any(row.action == "ran" for row in rows):
        click.echo("nothing to do: every selected stage is current or skipped")
    made = [row.status for row in rows if row.status.artifact]
    if made and made[-1].artifact:
        click.echo(f"{made[-1].stage.name}: {made[-1].artifact.folder}")


@cli.command()
@with_recipe
def status(recipe: str, settings: tuple[str, ...], home: Path, as_json: bool) -> None:
    """State of every stage, and why."""
    from pipeline import render

    statuses = list(planner_of(recipe, settings, home).statuses().values())
    if as_json:
        print_json([s.to_json() for s in statuses])
    else:
        click.echo(render.status_table(statuses))


@cli.command()
@click.argument("stage")
@with_recipe
def show(stage: str, recipe: str, settings: tuple[str, ...], home: Path, as_json: bool) -> None:
    """The artifact of a stage: figures, files, folder."""
    from pipeline import render

    named = [
        status for name, status in planner_of(recipe, settings, home).statuses().items() if name in matching(stage)
    ]
    made = [(status.artifact.manifest, str(status.artifact.folder)) for status in named if status.artifact]
    if not made:
        why = "; ".join(f"{s.stage.name} is {s.state}: {'; '.join(s.reasons)}" for s in named)
        raise StoreError(f"nothing to show: {why}")
    if as_json:
        shown = [{"folder": folder, **manifest} for manifest, folder in made]
        print_json(shown[0] if len(shown) == 1 else shown)
    else:
        click.echo("\n\n".join(render.show_text(manifest, folder) for manifest, folder in made))


@cli.command()
@with_recipe
def graph(recipe: str, settings: tuple[str, ...], home: Path, as_json: bool) -> None:
    """The stages and what each reads under this recipe."""
    from pipeline import render

    planner = planner_of(recipe, settings, home)
    needs = {name: list(planner.needs[name]) for name in NAMES}
    if as_json:
        print_json(needs)
    else:
        click.echo(render.graph_text(needs))


@cli.command(name="recipes")
@json_option
def list_recipes(as_json: bool) -> None:
    """The shipped recipes."""
    from pipeline import render

    found = {name: recipes.headline(path) for name, path in recipes.shipped().items()}
    if as_json:
        print_json(found)
    else:
        click.echo(render.table(("recipe", "what it does"), list(found.items())))


def main() -> int:
    """Exit code 0; 2 and one line for a user's error; 130 for Ctrl-C."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        return interrupted()
    except KeyboardInterrupt:
        return interrupted()
    except click.ClickException as error:
        error.show()
        return 2
    except PipelineError as error:
        say(f"error: {error}")
        return 2
    return 0


def interrupted() -> int:
    say("interrupted: nothing half made was published; the same command goes on from here")
    return INTERRUPTED
