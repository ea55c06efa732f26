"""`tag`: name artifacts."""

from pathlib import Path
from typing import Any

import click

from pipeline.history.render import tags_text
from pipeline.history.tags import delete_tag, set_tag, tag_path, tagged
from pipeline.references import by_tag, resolve
from pipeline.store.store import Artifact
from pipeline.verbs.options import planner_of, print_json, say, with_recipe


@click.command(name="tag", short_help="Name artifacts, which gc then keeps.")
@click.argument("name", required=False)
@click.argument("reference", required=False)
@click.option("--delete", is_flag=True, help="Remove the tag NAME; the artifact stays.")
@with_recipe
def command(
    name: str | None,
    reference: str | None,
    delete: bool,
    recipe: str,
    settings: tuple[str, ...],
    home: Path,
    as_json: bool,
) -> None:
    """Name the artifact REFERENCE, which then goes by tag:NAME and is kept by gc.

    NAME alone shows what it names; without NAME all tags are listed.
    """
    planner = planner_of(recipe, settings, home)
    store = planner.store
    before = None
    if delete:
        if name is None or reference is not None:
            raise click.UsageError("--delete takes the name of one tag, and no reference")
        delete_tag(store, name)
    elif name is not None and reference is not None:
        tag_path(store, name)
        artifact = resolve(reference, planner, say)
        before = set_tag(store, name, artifact)
        if before is not None and before.digest == artifact.digest:
            before = None
    elif name is not None:
        by_tag(store, name)
    tags = {n: artifact for n, artifact in tagged(store).items() if delete or name in (None, n)}
    if as_json:
        print_json({n: described(artifact) for n, artifact in tags.items()})
        return
    click.echo(tags_text(tags))
    if before is not None:
        click.echo(f"moved from {before.manifest['stage']} {before.digest[:12]}")


def described(artifact: Artifact | None) -> dict[str, Any] | None:
    """What a tag names; None where it is gone."""
    if artifact is None:
        return None
    names = ("stage", "kind", "key", "digest", "recipe", "created")
    return {**{name: artifact.manifest[name] for name in names}, "folder": str(artifact.folder)}
