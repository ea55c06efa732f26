"""What `push` and `pull` share: their options, where the remote store is, and how they print."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline import render
from pipeline.plan import Planner
from pipeline.verbs.options import planner_of, print_json, say, with_recipe

if TYPE_CHECKING:
    from pipeline.remote.transfer import How, Transfer

OPTIONS = (
    click.argument("references", nargs=-1, metavar="[REFERENCE]..."),
    click.option(
        "--store",
        "store_url",
        required=True,
        envvar="PIPELINE_STORE",
        metavar="URL",
        help="Folder, file:///folder, sftp://user@host:port/folder or s3://bucket/prefix; PIPELINE_STORE says it too.",
    ),
    click.option("--current", "use", is_flag=True, help="Make what arrives current even if another one is."),
    click.option("--dry-run", is_flag=True, help="Say what would be moved; move nothing."),
    with_recipe,
)
Move = Callable[[Planner, str, Sequence[str], "How"], "Iterator[Transfer]"]
"""Function of planner, URL, references and how, that tells of each transfer as it ends."""


def transfer_verb(name: str, short_help: str) -> Callable[[Move], click.Command]:
    """Makes a verb of a function that moves artifacts; its docstring is the verb's help."""

    def made(move: Move) -> click.Command:
        @wraps(move)
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
            from pipeline.remote.transfer import How

            planner = planner_of(recipe, settings, home)
            report(move(planner, store_url, references, How(use=use, dry=dry_run)), as_json)

        wrapped: Callable[..., None] = command
        for option in reversed(OPTIONS):
            wrapped = option(wrapped)
        return click.command(name=name, short_help=short_help)(wrapped)

    return made


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
