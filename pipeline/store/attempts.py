"""What the attempts at an artifact leave in its scratch folder: resume state, and why the last one failed."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from pipeline.render import moment
from pipeline.store.disk import as_full
from pipeline.store.durable import files_below, replace_text
from pipeline.store.locks import held_if_free, lock_path
from pipeline.store.store import CURRENT, Store
from pipeline.store.workspace import dispose

FAILED = "failed.json"


@dataclass(frozen=True)
class Failure:
    """Why an attempt ended."""

    error: str
    """One line."""
    at: str
    """Local time with its zone, ISO 8601."""

    def text(self) -> str:
        """`the last attempt failed: DataError: labels/5.png holds 7 (2026-01-31 11:00Z)`."""
        return f"the last attempt failed: {self.error} ({moment(self.at)})"


@contextmanager
def attempt(store: Store, scratch: Path, lock: Path, expected_bytes: int) -> Iterator[Path]:
    """A work folder for one attempt at an artifact of about `expected_bytes`, under a lock that is held.

    An exception leaves the scratch as it is and a record of why; DiskFullError where it came of a full disk.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / FAILED).unlink(missing_ok=True)
    work = store.new_work_folder(lock)
    try:
        yield work
    except Exception as error:
        full = as_full(error, store.home, max(expected_bytes, total_bytes(work)))
        # What was written goes first: on a full disk the record needs its room.
        shutil.rmtree(work, ignore_errors=True)
        with suppress(OSError):
            record_failure(scratch, full or error)
        if full:
            raise full from error
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def total_bytes(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(path.stat().st_size for path in files_below(folder))


def record_failure(scratch: Path, error: Exception) -> None:
    """Keep why an attempt failed, for `status`."""
    first = next(iter(str(error).splitlines()), "")
    at = datetime.now().astimezone().isoformat(timespec="seconds")
    replace_text(scratch / FAILED, json.dumps(asdict(Failure(f"{type(error).__name__}: {first}", at))))


def failure(scratch: Path) -> Failure | None:
    """Why the last attempt failed; None where it did not."""
    try:
        return Failure(**json.loads((scratch / FAILED).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def was_begun(scratch: Path) -> bool:
    """Whether an attempt was begun and not brought to its end."""
    return scratch.is_dir()


def has_state(scratch: Path) -> bool:
    """Whether there is something to go on from."""
    return any(path.suffix != ".part" and path.name != FAILED for path in files_below(scratch))


def clear_spent(store: Store, kind: str, key: str) -> None:
    """Remove the scratch of an attempt that was published and then killed before it could do so."""
    scratch, lock = store.scratch(kind, key), lock_path(store.home, kind, key)
    if not was_begun(scratch):
        return
    with held_if_free(lock) as free:
        if free and is_spent(scratch, store.root / kind / key / CURRENT):
            dispose(store.home, scratch, lock)


def is_spent(scratch: Path, published: Path) -> bool:
    """Whether nothing in the scratch is newer than the pointer to what was published."""
    if not published.exists():
        return False
    latest = max((path.stat().st_mtime_ns for path in files_below(scratch)), default=0)
    return latest <= published.stat().st_mtime_ns
