"""Remembers what was computed from a file until the file's size, times or inode change."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any


class StatCache:
    """Values by path, valid while (size, mtime_ns, ctime_ns, inode) stand; the file may be deleted at any time.

    With a `root`, paths are remembered relative to it and stay known when that folder is moved.
    """

    def __init__(self, path: Path, root: Path | None = None) -> None:
        self.path = path
        self.root = root
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
        return self.get_by_path(path, lambda file: compute(file.read_bytes()))

    def get_by_path(self, path: Path, compute: Callable[[Path], Any], afresh: bool = False) -> Any:
        """`compute(path)` of the file, from the cache while the file is the same and unless asked for afresh."""
        name = path.relative_to(self.root).as_posix() if self.root else str(path)
        stat = os.stat(path)
        signature = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        entry = self.entries.get(name)
        if afresh or entry is None or entry[0] != signature:
            entry = [signature, compute(path)]
            self.entries[name] = entry
            self.changed = True
        return entry[1]

    def save(self) -> None:
        """Write the cache if anything was added; where it cannot be written, nothing but time is lost."""
        if not self.changed:
            return
        part = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(self.entries))
            os.replace(part, self.path)
        except OSError:
            with suppress(OSError):
                part.unlink()
        self.changed = False
