"""One kernel lock for each artifact that may be made, and who holds it.

The kernel frees a lock when its holder ends, however it ends. What is told of the holder stands in a file beside the
lock, which counts only while the lock is held.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from errno import ENOLCK, ENOSYS, ENOTSUP
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import StoreError
from pipeline.render import moment
from pipeline.store.durable import replace_text

if TYPE_CHECKING:
    from filelock import FileLock

LOOK_S = 0.3
"""How long a lock may seem held before it is waited for: `status` holds one for an instant when it looks."""
POLL_S = 0.1


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    pid: int
    host: str
    user: str
    since: str
    """Local time with its zone, ISO 8601."""

    def text(self) -> str:
        """`pid 4242 on HOST, user USER, since 2026-01-31 11:00Z`."""
        return f"pid {self.pid} on {self.host}, user {self.user}, since {moment(self.since)}"


def lock_path(home: Path, kind: str, key: str) -> Path:
    """The file whose kernel lock a run holds while it makes the artifact of a key."""
    return home / "locks" / f"{kind}-{key}.lock"


@contextmanager
def held(path: Path, on_wait: Callable[[str], None]) -> Iterator[bool]:
    """Hold a lock for the length of the block; gives whether it had to be waited for.

    `on_wait` is told for whom, once, before the waiting begins. StoreError on a file system without locks.
    """
    from filelock import Timeout

    lock, waited = kernel_lock(path), False
    try:
        try:
            lock.acquire(timeout=LOOK_S, poll_interval=POLL_S)
        except Timeout:
            waited = True
            recorded = read_record(path)
            on_wait(recorded.text() if recorded else "another process")
            lock.acquire(poll_interval=POLL_S)
    except OSError as error:
        raise no_locks(path, error) from error
    record = record_path(path)
    try:
        replace_text(record, json.dumps(asdict(this_process())))
        yield waited
    finally:
        record.unlink(missing_ok=True)
        lock.release()


@contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Whether nobody else holds a lock; if so, it is held for the length of the block."""
    from filelock import Timeout

    lock = kernel_lock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        # Whoever it tells of was killed.
        record_path(path).unlink(missing_ok=True)
        yield True
    finally:
        lock.release()


def kernel_lock(path: Path) -> FileLock:
    """The lock, not held yet."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    # A file in place of the kernel's lock would outlive a killed holder: better none at all.
    return FileLock(path, fallback_to_soft=False)


def no_locks(path: Path, error: OSError) -> OSError | StoreError:
    """The error of a lock that cannot be had."""
    if error.errno not in (ENOSYS, ENOTSUP, ENOLCK):
        return error
    return StoreError(
        f"the file system of {path.parent} has no locks ({error.strerror}): put the store on one that has, with --home"
    )


def holder(path: Path) -> Holder | None:
    """Who holds a lock, without waiting for it; None where nobody does."""
    recorded = read_record(path)
    return recorded if recorded and is_held(path) else None


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two that look do not see each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def this_process() -> Holder:
    """What is told of this process to those that wait for it."""
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    return Holder(os.getpid(), platform.node(), user_name(), since)


def user_name() -> str:
    """Login name; the number where the system knows no name, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def record_path(path: Path) -> Path:
    """The file beside a lock that tells of its holder."""
    return path.with_suffix(".json")


def read_record(path: Path) -> Holder | None:
    """What the last holder told of itself; None where it has gone."""
    try:
        return Holder(**json.loads(record_path(path).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
