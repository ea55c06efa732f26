"""`run`: bring stages up to date."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipeline import render
from pipeline import run as running
from pipeline.estimate import Estimate, Last, estimates, last_costs
from pipeline.plan import Planner, select
from pipeline.verbs.options import device_option, planner_of, print_json, say, with_recipe


@click.command(name="run")
@with_recipe
@click.option("--until", help="Last stage to run, e.g. distill or export.")
@click.option("--from", "start", help="First stage to run; those before it must be current.")
@click.option("--only", help="Run this stage alone.")
@click.option("--force", help="Run this stage although it is current.")
@click.option("--dry-run", is_flag=True, help="Say what would run and why; run nothing.")
@device_option
def command(
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
) -> int:
    """Bring stages up to date; what is current is left alone."""
    planner = planner_of(recipe, settings, home, device)
    selection = select(planner.needs, until, start, only, force)
    if dry_run:
        print_plan(planner, running.dry_run(planner, selection), as_json)
        return False
    rows = running.run(planner, selection, say)
    failures = [f"{row.status.stage.name}: {failure}" for row in rows for failure in row.failures]
    for failure in failures:
        say(f"failed: {failure}")
    if as_json:
        print_json([row.to_json() for row in rows])
        return bool(failures)
    click.echo(render.run_table(rows))
    if not any(row.action in ("ran", "reused") for row in rows):
        click.echo("nothing to do: every selected stage is current or skipped")
    made = [row.status for row in rows if row.status.artifact]
    if made and made[-1].artifact:
        click.echo(f"{made[-1].stage.name}: {made[-1].artifact.folder}")
    return bool(failures)


def print_plan(planner: Planner, rows: Sequence[running.Row], as_json: bool) -> None:
    """What would run, what it would cost here, and what it cost the last time; RecipeError for what must fail."""
    would_run = {row.status.stage.name: row.status for row in rows if row.action == running.WOULD_RUN}
    costs = {}
    if would_run:
        planner.rehearse(would_run)
        planner.inspect(would_run, planner.statuses())
        costs = estimates(planner, would_run, say)
    last = last_costs(planner, would_run)
    if not as_json:
        click.echo(render.plan_table(rows, costs, last, planner.recipe.name))
        return
    print_json(
        [
            {**row.to_json(), "estimate": to_json(costs.get(name)), "last": to_json(last.get(name))}
            for name, row in ((row.status.stage.name, row) for row in rows)
        ]
    )


def to_json(cost: Estimate | Last | None) -> dict[str, Any] | None:
    """As plain data; None for a stage that would not run or was never made."""
    return cost.to_json() if cost else None
