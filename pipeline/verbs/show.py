"""`show`: what an artifact holds."""

from pathlib import Path

import click

from pipeline import render
from pipeline.errors import StoreError
from pipeline.graph import matching
from pipeline.plan import Planner
from pipeline.references import is_stage, refuse_sweep, resolve
from pipeline.store.store import Artifact
from pipeline.verbs.options import planner_of, print_json, say, with_recipe


@click.command(name="show", short_help="Figures, files and folder of an artifact.")
@click.argument("reference")
@with_recipe
def command(reference: str, recipe: str, settings: tuple[str, ...], home: Path, as_json: bool) -> None:
    """The artifact of a stage, or of another reference: figures, files, folder.

    Of a student also how far its class distances and its position maps are from the teacher's.
    """
    from pipeline.gaps.show import show_gaps

    planner = planner_of(recipe, settings, home)
    made = shown(planner, reference)
    gaps = [show_gaps(planner.store, artifact) for artifact in made]
    if as_json:
        rows = [
            {"folder": str(artifact.folder), **artifact.manifest, **({"gaps": gap.json} if gap else {})}
            for artifact, gap in zip(made, gaps, strict=True)
        ]
        print_json(rows[0] if len(rows) == 1 else rows)
        return
    for artifact, gap in zip(made, gaps, strict=True):
        click.echo(render.show_text(artifact.manifest, str(artifact.folder)) + "\n")
        if gap:
            click.echo(gap.text + "\n")


def shown(planner: Planner, reference: str) -> list[Artifact]:
    """The current artifacts of every stage that a prefix names, or the one of another reference."""
    if not is_stage(reference):
        return [resolve(reference, planner, say)]
    refuse_sweep(planner.store, reference)
    named = [status for name, status in planner.statuses().items() if name in matching(reference)]
    made = [status.artifact for status in named if status.artifact]
    if not made:
        why = "; ".join(f"{s.stage.name} is {s.state}: {'; '.join(s.reasons)}" for s in named)
        raise StoreError(f"nothing to show: {why}")
    return made
