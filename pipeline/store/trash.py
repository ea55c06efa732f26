"""The trash of a store: what gc takes away lies below `trash/<time>` as it lay before, until the trash is emptied."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from pipeline.store.gc import Item
from pipeline.store.inventory import place_of, total_bytes
from pipeline.store.locks import held_if_free, lock_path
from pipeline.store.store import Store


def move_to_trash(store: Store, items: Iterable[Item], now: datetime) -> tuple[list[Item], Path]:
    """Move what may go below `trash/<time>`, each artifact under its key's lock; returns the rows and that folder."""
    trash = store.home / "trash" / now.strftime("%Y%m%dT%H%M%SZ")
    return [item if item.keep else move(store, item, trash) for item in items], trash


def move(store: Store, item: Item, trash: Path) -> Item:
    """Move one folder, unless a run took its lock or removed it meanwhile."""
    try:
        return move_locked(store, item, trash)
    except FileNotFoundError:
        return replace(item, keep=True, reasons=("a run removed it meanwhile",))


def move_locked(store: Store, item: Item, trash: Path) -> Item:
    """Move one folder, that of an artifact or of resume state under its key's lock."""
    if item.what == "work":
        rename_below(item.path, store.home, trash)
        return replace(item, moved=True)
    kind, key = place_of(item.path)[:2] if item.what == "artifact" else (item.path.parent.name, item.path.name)
    path = lock_path(store.home, kind, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    with held_if_free(path) as free:
        if not free:
            return replace(item, keep=True, reasons=("its key was locked meanwhile",))
        rename_below(item.path, store.home, trash)
        if item.what == "artifact":
            clear_key(item.path.parent, store.home, trash)
    return replace(item, moved=True)


def clear_key(key_folder: Path, home: Path, trash: Path) -> None:
    """Move the `current` file too once no digest is left under a key."""
    if not any(path.is_dir() for path in key_folder.iterdir()):
        for path in key_folder.iterdir():
            rename_below(path, home, trash)
        key_folder.rmdir()


def rename_below(path: Path, home: Path, trash: Path) -> None:
    """Move a path to the same place below the trash folder: moving it back restores it."""
    target = trash / path.relative_to(home)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.rename(path, target)


def trash_bytes(home: Path) -> int:
    """What the trash takes of the disk."""
    return total_bytes(home / "trash")


def empty_trash(home: Path) -> None:
    """Delete the trash for good."""
    if (home / "trash").is_dir():
        shutil.rmtree(home / "trash")
