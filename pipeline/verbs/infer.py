"""`infer`: a trained network's predictions as PNG files."""

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from pipeline.errors import StoreError
from pipeline.identity.keys import machine_settings
from pipeline.plan import Planner
from pipeline.references import resolve
from pipeline.store.store import Artifact
from pipeline.verbs.image_bar import ImageBar
from pipeline.verbs.options import device_option, planner_of, print_json, say, with_recipe

INFER = "stages.infer"
FORMS = ("ids", "color", "cityscapes")
DIGITS = 12


@click.command(name="infer", short_help="Predict images: one PNG for each.")
@with_recipe
@click.option("--split", type=click.Choice(("train", "val", "test")), help="Predict this split of the data.")
@click.option("--images", type=click.Path(path_type=Path, file_okay=False), help="Predict the pictures below a folder.")
@click.option(
    "--as",
    "form",
    type=click.Choice(FORMS),
    default="ids",
    show_default=True,
    help="Class ids, the same with colours to look at, or the label ids that Cityscapes' test server takes.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the PNGs.")
@click.option("--stage", "reference", default="distill", show_default=True, help="Whose network, e.g. teacher.")
@device_option
def command(
    recipe: str,
    settings: tuple[str, ...],
    home: Path,
    as_json: bool,
    split: str | None,
    images: Path | None,
    form: str,
    out: Path | None,
    reference: str,
    device: str,
) -> None:
    """Predict the images of a split or of a folder: one PNG for each, at its size and under its name."""
    if (split is None) == (images is None):
        raise click.UsageError("give --split NAME or --images FOLDER, one of them")
    planner = planner_of(recipe, settings, home, device)
    network = resolve(reference, planner, say)
    kind, seen = network.manifest["stage"], evaluation(planner, network)
    where = split or "images"
    target = out or planner.store.home / "predictions" / f"{kind}-{network.digest[:DIGITS]}" / f"{where}-{form}"
    common = (form, target, planner.facts["device"], seen)
    stage = import_module(INFER)
    with ImageBar("predict") as bar:
        if split:
            roots = machine_settings(planner.recipe.configs)
            count = stage.infer_split(network.folder, data_of(planner, network).folder, split, roots, *common, bar)
        else:
            count = stage.infer_folder(network.folder, images, *common, bar)
    if as_json:
        print_json({"stage": kind, "digest": network.digest, "images": count, "as": form, "folder": str(target)})
    else:
        click.echo(f"{kind} {network.digest[:DIGITS]}: {count} images as {form} in {target}")


def evaluation(planner: Planner, network: Artifact) -> Any:
    """How the recipe has that stage's images scored: predictions are made alike."""
    config = planner.recipe.configs[network.manifest["stage"]]
    if not hasattr(config, "evaluation"):
        raise StoreError(f"{network.manifest['stage']} holds no network: give --stage teacher, distill or baseline")
    return config.evaluation


def data_of(planner: Planner, network: Artifact) -> Artifact:
    """The data artifact on which a network was trained."""
    lineage = network.manifest["inputs"]["data"]
    artifact = planner.store.find("data", lineage["key"], lineage["digest"])
    if artifact is None:
        raise StoreError(f"data@{lineage['digest'][:DIGITS]}, on which it was trained, is not in the store: pull it")
    return artifact
