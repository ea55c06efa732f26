"""`verify`: whether artifacts are still what was published."""

from pathlib import Path

import click

from pipeline import render
from pipeline.errors import CorruptError, StoreError
from pipeline.plan import Planner
from pipeline.references import resolve
from pipeline.store.verify import verdict
from pipeline.verbs.options import planner_of, print_json, say, with_recipe


@click.command(name="verify", short_help="Hash every file of artifacts again.")
@click.argument("references", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every artifact of the store, whatever made it.")
@with_recipe
def command(
    references: tuple[str, ...],
    everything: bool,
    recipe: str,
    settings: tuple[str, ...],
    home: Path,
    as_json: bool,
) -> int:
    """Hash every file of artifacts again: those that REFERENCES name, otherwise the recipe's current ones.

    Exit code 1 where a file is changed, cut short, missing or too many.
    """
    planner = planner_of(recipe, settings, home)
    verdicts = [verdict(planner.store.home, folder) for folder in chosen(planner, references, everything)]
    if as_json:
        print_json([each.to_json() for each in verdicts])
    else:
        click.echo(render.verify_text(verdicts))
    return 1 if any(each.faults for each in verdicts) else 0


def chosen(planner: Planner, references: tuple[str, ...], everything: bool) -> list[Path]:
    """Folders of the artifacts that the command line asks for; StoreError where there are none."""
    if everything:
        folders = planner.store.folders()
    elif references:
        folders = [folder_of(reference, planner) for reference in references]
    else:
        folders = [folder for status in planner.statuses().values() if (folder := status.folder)]
    if not folders:
        raise StoreError("nothing to verify: no artifact is current for this recipe; --all takes the whole store")
    return list(dict.fromkeys(folders))


def folder_of(reference: str, planner: Planner) -> Path:
    """Folder of the artifact that a reference names, whatever lies in it."""
    try:
        return resolve(reference, planner, say).folder
    except CorruptError as error:
        return error.folder
