"""Folders that pass: where an artifact is made until it is published, and where what was put aside lies.

A work folder is named for the lock under which it is filled and for the machine:

    work/<kind>-<key>@<host>~<boot>~<random>

so that what a killed run left can be told from what a living one is filling. Nothing in them is ever read again.
"""

import os
import platform
import shutil
import uuid
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from pipeline.store.locks import is_held

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
SHORT = 8


def new_work_folder(home: Path, lock: Path | None = None) -> Path:
    """Empty folder on the store's file system, to be filled and published while `lock` is held."""
    name = uuid.uuid4().hex[:SHORT]
    folder = home / "work" / (f"{lock.stem}@{'~'.join(machine())}~{name}" if lock else name)
    folder.mkdir(parents=True)
    return folder


def sweep(home: Path, mine: Path | None = None) -> None:
    """Remove the work folders of dead runs: those whose lock nobody holds, and those under `mine`, which we hold."""
    # Listed before any lock is looked at: whoever makes a folder holds its lock already.
    for folder in list((home / "work").glob("*@*")):
        name, _, place = folder.name.rpartition("@")
        lock = home / "locks" / f"{name}.lock"
        if is_here(place) and (lock == mine or not is_held(lock)):
            shutil.rmtree(folder, ignore_errors=True)


def dispose(home: Path, folder: Path, lock: Path) -> None:
    """Remove a folder so that it is there whole or not at all: renamed first, deleted then."""
    if folder.is_dir():
        doomed = new_work_folder(home, lock)
        os.rename(folder, doomed / folder.name)
        shutil.rmtree(doomed, ignore_errors=True)


def put_aside(home: Path, folder: Path) -> Path:
    """Move a folder below `trash/<time>`, to the same place that it had; returns where it lies now."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = home / "trash" / now / folder.relative_to(home)
    target.parent.mkdir(parents=True)
    os.rename(folder, target)
    return target


@lru_cache(maxsize=1)
def machine() -> tuple[str, str]:
    """Host name, and what the kernel calls its present run: containers on one kernel share its locks."""
    boot = BOOT_ID.read_text()[:SHORT] if BOOT_ID.exists() else ""
    return platform.node(), boot


def is_here(place: str) -> bool:
    """Whether a work folder was made on this machine: on another one its lock may be out of our kernel's sight."""
    host, boot, _ = place.rsplit("~", 2)
    return host == machine()[0] or (boot != "" and boot == machine()[1])
