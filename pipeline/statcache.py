"""Remembers what was computed from a file until the file's size, times or inode change."""

import json
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any


class StatCache:
    """Values by path, valid while (size, mtime_ns, ctime_ns, inode) stand; the file may be deleted at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.changed = False

    @cached_property
    def entries(self) -> dict[str, list[Any]]:
        """[signature, value] by path, read when it is first asked for."""
        try:
            entries = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return {}
        return entries if isinstance(entries, dict) else {}

    def get(self, path: Path, compute: Callable[[bytes], Any]) -> Any:
        """`compute(content)` of the file, from the cache while the file is the same."""
        stat = os.stat(path)
        signature = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        entry = self.entries.get(str(path))
        if entry is None or entry[0] != signature:
            entry = [signature, compute(path.read_bytes())]
            self.entries[str(path)] = entry
            self.changed = True
        return entry[1]

    def save(self) -> None:
        """Write the cache if anything was added."""
        if not self.changed:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        part.write_text(json.dumps(self.entries))
        os.replace(part, self.path)
        self.changed = False
