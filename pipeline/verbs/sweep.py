"""`sweep`: one recipe under several settings and seeds, and a table of what they give."""

from pathlib import Path
from typing import Any

import click

from pipeline import render
from pipeline.errors import RecipeError
from pipeline.graph import NAMES
from pipeline.store.store import Store
from pipeline.sweep import definition as definitions
from pipeline.sweep.definition import SEED_FIELD, Definition
from pipeline.verbs.options import device_option, home_option, json_option, print_json, say, set_option


@click.command(name="sweep", short_help="Run a recipe under many settings and seeds.")
@click.argument("file", required=False)
@click.option("--recipe", help="Shipped name or a .toml file.  [default: quickstart]")
@click.option("--axis", "axes", multiple=True, metavar="A.B=V,W", help="A field and its values; several axes multiply.")
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="Run each row under seeds 0 .. N-1.")
@click.option(
    "--seed-field", "seed_fields", multiple=True, metavar="A.B", help=f"Takes the seed.  [default: {SEED_FIELD}]"
)
@click.option("--baseline", metavar="LABEL", help="Value that the others are compared with.  [default: the first row]")
@click.option("--until", type=click.Choice(("distill", "export", "bench")), help="Last stage.  [default: distill]")
@click.option("--equal-time", is_flag=True, default=None, help="Train every cell for as long as the slowest row takes.")
@click.option("--name", help="Name of the sweep in the store.  [default: the file's, or recipe and axes]")
@click.option("--ray", is_flag=False, flag_value="any", metavar="[ADDRESS]", help="Run the cells on a Ray cluster.")
@click.option("--cell-cpus", type=click.IntRange(min=1), default=1, show_default=True, help="Cores of a cell on Ray.")
@click.option("--dry-run", is_flag=True, help="Say what each cell would run; run nothing.")
@device_option
@set_option
@home_option
@json_option
def command(
    file: str | None,
    axes: tuple[str, ...],
    settings: tuple[str, ...],
    home: Path,
    name: str | None,
    ray: str | None,
    cell_cpus: int,
    dry_run: bool,
    device: str,
    as_json: bool,
    **fields: Any,
) -> int:
    """Run a recipe under every combination of settings and seeds; mean, spread and cost of each.

    FILE is a shipped sweep or a .toml file; without one, give --axis or --seeds. What cells share is made once, what is
    current is left alone, and a cell that fails does not stop the others (exit code 1 at the end).
    """
    from pipeline.sweep.conduct import Cluster, Sweep, plan_sweep, run_sweep
    from pipeline.sweep.render import text

    definition = definition_of(file, axes, settings, {k: v for k, v in fields.items() if v not in (None, ())})
    name = name or (Path(file).stem if file else definitions.default_name(definition))
    sweep = Sweep(definition, name, Store(home.resolve()), device)
    if dry_run:
        rows = plan_sweep(sweep)
        print_json(rows) if as_json else click.echo(plan_text(rows, definition))
        return 0
    results = run_sweep(sweep, Cluster(ray, cell_cpus) if ray else None, say)
    if as_json:
        print_json({"name": name, **results.to_json()})
    else:
        click.echo(f"{text(results)}\nsweep {name}: {sweep.folder.path}")
    return 1 if results.failed else 0


def definition_of(
    file: str | None, axes: tuple[str, ...], settings: tuple[str, ...], fields: dict[str, Any]
) -> Definition:
    """The sweep file's definition with the command line's changes, or the command line's own."""
    if file and "recipe" in fields:
        raise RecipeError(f"--recipe: {file} names its recipe: leave it out, or change a copy of the file")
    if not file and not axes and "seeds" not in fields:
        known = ", ".join(definitions.shipped())
        raise RecipeError(f"nothing varies: give --axis or --seeds, or a sweep file ({known} come along)")
    base = definitions.load(file).model_dump() if file else {}
    parsed = [definitions.parse_axis(axis) for axis in axes]
    own_axes, own_settings = base.get("axes", ()), base.get("settings", ())
    changes = {"axes": (*own_axes, *parsed), "settings": (*own_settings, *settings)}
    return definitions.check({**base, **fields, **changes}, file or "sweep")


def plan_text(rows: list[dict[str, Any]], definition: Definition) -> str:
    """A table of what each cell would run."""
    stages = [stage for stage in NAMES if any(stage in row["stages"] for row in rows)]
    cells = [(row["cell"], *(row["stages"].get(stage, "-") for stage in stages)) for row in rows]
    calibrations = "\nbefore that a short training of each row measures its seconds per iteration"
    return render.table(("cell", *stages), cells) + (calibrations if definition.equal_time else "")
