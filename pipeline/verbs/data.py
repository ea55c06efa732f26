"""`data check`: every fault of a data set, before anything is trained on it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from pipeline.render import table
from pipeline.verbs.image_bar import ImageBar
from pipeline.verbs.options import json_option, print_json

SURVEY = "stages.datasets.survey"
CHECK_FAILED = 1


@click.group(name="data")
def command() -> None:
    """Check a data set before anything is trained on it."""


@command.command(name="check", short_help="List everything that is wrong with a data set.")
@click.argument("root", type=click.Path(path_type=Path, file_okay=False))
@click.option("--source", help="How ROOT is laid out, e.g. cityscapes; by default the source that recognises it.")
@click.option(
    "--level",
    type=click.Choice(("warning", "fault")),
    default="warning",
    show_default=True,
    help="Lowest level that is listed and makes the exit code 1.",
)
@json_option
def check(root: Path, source: str | None, level: str, as_json: bool) -> int:
    """List everything that is wrong with the images and labels below ROOT, with its file; exit code 1 if anything is.

    A fault stops the data stage; a warning (near-duplicates, a class that never occurs) does not.
    """
    with ImageBar("check images and labels") as bar:
        found = import_module(SURVEY).survey_root(root, source, bar)
    found["findings"] = [row for row in found["findings"] if level == "warning" or row["level"] == "fault"]
    if as_json:
        print_json(found)
    else:
        click.echo(text(found))
    return CHECK_FAILED if found["findings"] else 0


def text(found: Mapping[str, Any]) -> str:
    """The findings as a table, then how many there are of each kind."""
    images = ", ".join(f"{split} {count}" for split, count in found["images"].items()) or "none"
    head = f"{found['root']} as {found['source']}: images {images}"
    rows = found["findings"]
    if not rows:
        return f"{head}\nno fault"
    listed = table(("level", "kind", "file", ""), [(r["level"], r["kind"], r["file"], r["text"]) for r in rows])
    return f"{listed}\n\n{head}\n{totals(rows)}"


def totals(rows: Sequence[Mapping[str, Any]]) -> str:
    """`2 faults (1 missing pair, 1 unknown id), 101 warnings (101 near-duplicate)`."""
    parts = []
    for level in ("fault", "warning"):
        kinds = Counter(row["kind"] for row in rows if row["level"] == level)
        if kinds:
            count = sum(kinds.values())
            listed = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
            parts.append(f"{count} {level}{'' if count == 1 else 's'} ({listed})")
    return ", ".join(parts)
