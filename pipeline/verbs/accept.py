"""`accept`: keep what was made before a refactor."""

from pathlib import Path

import click

from pipeline.history.accept import accept
from pipeline.references import one_stage
from pipeline.verbs.options import planner_of, print_json, with_recipe


@click.command(name="accept", short_help="Declare that a refactor changed no result.")
@click.argument("stages", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why the changed code gives the same result; kept in the manifest.")
@with_recipe
def command(
    stages: tuple[str, ...], reason: str, recipe: str, settings: tuple[str, ...], home: Path, as_json: bool
) -> None:
    """Declare that a refactor left STAGES' results as they were: they become current without running.

    Only a change of code can be accepted. Where several stages are stale, name them in the order in which they run.
    """
    planner = planner_of(recipe, settings, home)
    rows = []
    for (name,) in map(one_stage, stages):
        made = accept(planner, planner.statuses()[name], reason)
        rows.append({"stage": name, "key": made.key, "digest": made.digest, **made.manifest["accepted"]})
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(f"{row['stage']}: {row['digest'][:12]} accepted under key {row['key'][:12]}: {reason}")
        for line in row["changes"]:
            click.echo(f"  {line}")
