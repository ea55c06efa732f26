"""Files outside the store that a stage reads: the sha256 of each, and one digest over all of them.

A data set has 100,000 files, and `status` must not wait for it: while names, sizes, times and inodes of all files are
what they were, the digest over all is taken from a file of a few lines, and the sha256 of each is not even loaded.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from pipeline.identity.keys import sha256, sources_identity
from pipeline.identity.statcache import StatCache
from pipeline.store.durable import replace_text

REMEMBERED = 32
"""Data sets, or states of them, whose digest is kept."""
COARSEST_CLOCK_NS = 2_000_000_000
"""A file may change again under the same times for so long, on the file systems that count in the largest steps."""

Files = Mapping[str, str | os.PathLike[str]]
"""Path by relative name."""


class SourceCache:
    """Digests of source files, remembered below one cache folder; both files there may be deleted at any time."""

    def __init__(self, folder: Path) -> None:
        self.files = StatCache(folder / "source_files.json")
        self.path = folder / "source_sets.json"
        self.changed = False

    @cached_property
    def sets(self) -> dict[str, str]:
        """Digest over all files by the digest of their signatures, the latest last."""
        try:
            sets = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return {}
        return sets if isinstance(sets, dict) else {}

    def identity(self, files: Files) -> str:
        """One digest over relative names and contents."""
        signature, newest_ns = signature_of(files)
        # Before the contents are read: a file that changes meanwhile has another signature the next time.
        settled = newest_ns < time.time_ns() - COARSEST_CLOCK_NS
        known = self.sets.get(signature)
        if known is None:
            known = sources_identity(self.digests(files))
            if settled:
                self.sets[signature] = known
                self.changed = True
        return known

    def digests(self, files: Files) -> dict[str, str]:
        """sha256 of each file, by relative name in order."""
        return {name: self.files.get(Path(path), sha256) for name, path in sorted(files.items())}

    def save(self) -> None:
        """Write what was added."""
        self.files.save()
        if self.changed:
            replace_text(self.path, json.dumps(dict(list(self.sets.items())[-REMEMBERED:])))
            self.changed = False


def signature_of(files: Files) -> tuple[str, int]:
    """sha256 over the names, paths, sizes, times and inodes of files, and the latest of their change times in ns."""
    rows, newest_ns = [], 0
    for name, path in sorted(files.items()):
        stat = os.stat(path)
        newest_ns = max(newest_ns, stat.st_ctime_ns)
        rows.append(f"{name}\0{path}\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}")
    return hashlib.sha256("\n".join(rows).encode(errors="surrogateescape")).hexdigest(), newest_ns
