"""A full disk, told in one line whatever library met it: where, how much is free, how much was needed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from errno import EDQUOT, ENOSPC
from pathlib import Path

from pipeline.errors import DiskFullError

FULL = (ENOSPC, EDQUOT)
IN_WORDS = re.compile(rf"No space left on device|Disk quota exceeded|os error ({ENOSPC}|{EDQUOT})\b")
"""How libraries that are not written in Python say it."""
SHARED_MEMORY = Path("/dev/shm")
MIB = 2**20


def as_full(error: BaseException, home: Path, needed_bytes: int = 0) -> DiskFullError | None:
    """The error that tells of a full disk, where `error` came of one; None otherwise.

    `needed_bytes` is what is known to have been needed, 0 where nothing is known.
    """
    if not any(map(says_full, causes(error))):
        return None
    path = fullest(error, home)
    free = os.statvfs(path)
    quota = any(getattr(each, "errno", None) == EDQUOT for each in causes(error))
    why = "the disk quota is used up" if quota else "no space left"
    no_inodes = free.f_files > 0 and free.f_favail == 0
    what = "no file can be added" if no_inodes else f"{mib(free.f_bavail * free.f_frsize)} free"
    needs = f", {mib(needed_bytes)} needed" if needed_bytes else ""
    return DiskFullError(
        f"{why} on the file system {mount_point(path)} ({what}{needs}): nothing is lost; "
        "make room there and give the same command again"
    )


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those from which it came: libraries wrap what the system said."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def says_full(error: BaseException) -> bool:
    """Whether one error says that there is no room."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    return IN_WORDS.search(str(error)) is not None


def fullest(error: BaseException, home: Path) -> Path:
    """A folder on the file system that is full: the one that the error names, otherwise the one with the least room."""
    named = [Path(each.filename) for each in causes(error) if isinstance(each, OSError) and each.filename]
    existing = [parent for path in named[:1] for parent in path.absolute().parents if parent.is_dir()]
    if existing:
        return existing[0]
    import tempfile

    places = [home.absolute(), Path(tempfile.gettempdir()), SHARED_MEMORY]
    return min((place for place in places if place.is_dir()), key=free_bytes)


def free_bytes(path: Path) -> int:
    """Bytes that a user may still write on a folder's file system."""
    free = os.statvfs(path)
    return free.f_bavail * free.f_frsize


def mount_point(path: Path) -> Path:
    """Where a folder's file system is mounted."""
    return next(place for place in (path, *path.parents) if place.is_mount())


def mib(count: int) -> str:
    """Bytes for one line: `3.2 MiB`."""
    return f"{count / MIB:.1f} MiB"
