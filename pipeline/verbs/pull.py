"""`pull`: fetch artifacts from a remote store."""

from pathlib import Path

import click

from pipeline.verbs.options import planner_of, say, with_recipe
from pipeline.verbs.remote_options import report, with_store


@click.command(name="pull", short_help="Fetch artifacts from a remote store.")
@click.argument("references", nargs=-1, metavar="[REFERENCE]...")
@with_store
@with_recipe
def command(
    references: tuple[str, ...],
    store_url: str,
    use: bool,
    dry_run: bool,
    recipe: str,
    settings: tuple[str, ...],
    home: Path,
    as_json: bool,
) -> None:
    """Fetch artifacts from a remote store: those named, or every one that the recipe wants.

    A REFERENCE is a stage, whose artifact under this recipe is fetched alone, or stage@digest of any recipe. Every file
    is checked against its sha256. Where another artifact is current here under the same key, it stays so.
    """
    from pipeline.remote.transfer import How, pull
    from pipeline.remote.url import Absent, opened

    planner = planner_of(recipe, settings, home)
    with opened(store_url, Absent.REFUSE) as remote:
        report(pull(planner, remote, references, How(use=use, dry=dry_run), say), as_json)
