"""`show`: what an artifact holds."""

from pathlib import Path

import click

from pipeline import render
from pipeline.errors import StoreError
from pipeline.graph import matching
from pipeline.verbs.options import planner_of, print_json, with_recipe


@click.command(name="show")
@click.argument("stage")
@with_recipe
def command(stage: str, recipe: str, settings: tuple[str, ...], home: Path, as_json: bool) -> None:
    """The artifact of a stage: figures, files, folder."""
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
