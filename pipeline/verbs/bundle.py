"""`bundle`: the folder that goes to a board."""

from importlib import import_module
from pathlib import Path

import click

from pipeline.errors import StoreError
from pipeline.plan import MADE
from pipeline.verbs.options import planner_of, print_json, say, with_recipe

WRITER = "export.bundle"


@click.command(name="bundle", short_help="Write the folder for a board.")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--triton", is_flag=True, help="Add a model repository for Triton, with copies of the files.")
@with_recipe
def command(out: Path, triton: bool, recipe: str, settings: tuple[str, ...], home: Path, as_json: bool) -> None:
    """Write the exported student, with all that a board needs to build, run, score and time it, into OUT."""
    statuses = planner_of(recipe, settings, home).statuses()
    missing = [name for name in ("data", "export.onnx") if statuses[name].state not in MADE]
    if missing:
        why = "; ".join(f"{name} is {statuses[name].state}" for name in missing)
        raise StoreError(f"nothing to bundle: {why}: see status, and run --until export with the same options")
    found = {name: statuses[name].artifact for name in ("data", "distill", "export.onnx")}
    provenance = {name: {"key": a.key, "digest": a.digest} for name, a in found.items() if a}
    exported, data = found["export.onnx"], found["data"]
    assert exported is not None and data is not None
    manifest = import_module(WRITER).write_bundle(exported.folder, data.folder, out, triton, provenance)
    if as_json:
        print_json({"folder": str(out), **manifest})
        return
    for failure in exported.manifest.get("failures", ()):
        say(f"not in the bundle: {failure}")
    megabytes = sum(file["bytes"] for file in manifest["files"].values()) / 1e6
    click.echo(f"{out}: {len(manifest['files'])} files, {megabytes:.1f} MB, {len(manifest['forms'])} ONNX files")
    click.echo(f"copy it to the board and run there: cd {out.name} && python3 build_engine.py && python3 benchmark.py")
