"""What `push` and `pull` share: where the remote store is, and how they print."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from pipeline import render
from pipeline.verbs.options import print_json, say

if TYPE_CHECKING:
    from pipeline.remote.transfer import Transfer

store_option = click.option(
    "--store",
    "store_url",
    required=True,
    envvar="PIPELINE_STORE",
    metavar="URL",
    help="Folder, file:///folder, sftp://user@host:port/folder or s3://bucket/prefix; PIPELINE_STORE says it too.",
)
use_option = click.option("--current", "use", is_flag=True, help="Make what arrives current even if another one is.")
dry_option = click.option("--dry-run", is_flag=True, help="Say what would be moved; move nothing.")


def with_store(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a verb that talks to a remote store."""
    for option in (dry_option, use_option, store_option):
        command = option(command)
    return command


def report(transfers: Iterable[Transfer], as_json: bool) -> None:
    """Tell of each transfer as it ends, and of all of them on stdout."""
    rows = []
    for transfer in transfers:
        rows.append(transfer)
        say(f"{transfer.reference}: {transfer.action}{f': {transfer.note}' if transfer.note else ''}")
    if as_json:
        print_json([row.to_json() for row in rows])
    else:
        click.echo(render.transfer_table(rows) if rows else "nothing to move")
