"""`push`: send artifacts to a remote store."""

from pathlib import Path

import click

from pipeline.verbs.options import planner_of, with_recipe
from pipeline.verbs.remote_options import report, with_store


@click.command(name="push", short_help="Send artifacts to a remote store.")
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
    """Send artifacts to a remote store: those named, or every current one of the recipe.

    A REFERENCE is a stage, stage@digest or tag:name. What is there already is not sent again, and nothing there is
    overwritten.
    """
    from pipeline.remote.transfer import How, push
    from pipeline.remote.url import Absent, opened

    planner = planner_of(recipe, settings, home)
    with opened(store_url, Absent.LEAVE if dry_run else Absent.MAKE) as remote:
        report(push(planner, remote, references, How(use=use, dry=dry_run)), as_json)
