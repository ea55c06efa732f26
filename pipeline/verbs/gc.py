"""`gc`: find what nothing needs any more, and move it to the trash."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from pipeline.history.render import gc_text
from pipeline.render import size
from pipeline.store.gc import Item, Rules, survey
from pipeline.store.store import Store
from pipeline.store.trash import empty_trash, move_to_trash, trash_bytes
from pipeline.verbs.options import home_option, json_option, print_json


@click.command(name="gc", short_help="What may go from the store, and why the rest stays.")
@click.option("--apply", is_flag=True, help="Move what may go to the trash; without it nothing is touched.")
@click.option("--keep-last", type=click.IntRange(min=0), default=0, metavar="N", help="Keep the N newest of each kind.")
@click.option("--older-than", type=click.IntRange(min=0), metavar="DAYS", help="Keep what is younger.")
@click.option("--empty-trash", is_flag=True, help="Delete the trash for good, and do nothing else.")
@home_option
@json_option
def command(apply: bool, keep_last: int, older_than: int | None, empty_trash: bool, home: Path, as_json: bool) -> None:
    """Say of everything in the store why it is kept or may go; --apply moves what may go to .pipeline/trash."""
    store = Store(home.resolve())
    if empty_trash:
        if apply:
            raise click.UsageError("--empty-trash deletes what earlier calls moved: give it without --apply")
        empty(store, as_json)
        return
    now = datetime.now(UTC)
    rules = Rules(now, keep_last, None if older_than is None else timedelta(days=older_than))
    items, trash = survey(store, rules), None
    if apply:
        items, trash = move_to_trash(store, items, now)
    totals = {"keep": total(items, True), "go": total(items, False)}
    if as_json:
        where = {"folder": str(trash) if trash else None, "bytes": trash_bytes(store.home)}
        print_json({"applied": apply, "items": [i.to_json() for i in items], "totals": totals, "trash": where})
    else:
        listed = gc_text(items) if items else f"there is nothing in {store.home}"
        click.echo("\n".join([listed, "", *closing(store, items, trash)]))


def empty(store: Store, as_json: bool) -> None:
    """Delete the trash and say how much that was."""
    freed = trash_bytes(store.home)
    empty_trash(store.home)
    if as_json:
        print_json({"freed_bytes": freed})
    else:
        click.echo(f"deleted {size(freed)} of trash")


def total(items: Sequence[Item], keep: bool) -> dict[str, int]:
    """How many folders stay or go, and how large they are."""
    chosen = [item for item in items if item.keep is keep]
    return {"count": len(chosen), "bytes": sum(item.bytes for item in chosen)}


def closing(store: Store, items: Sequence[Item], trash: Path | None) -> list[str]:
    """Totals, and what to do next."""
    keep, go = total(items, True), total(items, False)
    lines = [f"kept: {keep['count']}, {size(keep['bytes'])}"]
    verb = "moved to the trash" if trash else "would go"
    lines.append(f"{verb}: {go['count']}, {size(go['bytes'])}")
    if go["count"] and trash:
        lines.append(f"in {trash}; move a folder back to the same place below {store.home} to restore it")
    elif go["count"]:
        lines.append("nothing was touched: --apply moves them to the trash")
    held = trash_bytes(store.home)
    return [*lines, f"the trash holds {size(held)}: --empty-trash deletes it"] if held else lines
