"""Names of files below a folder, quickly: one `scandir` a folder, plain strings, nothing is opened."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def names_below(root: Path, folder: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Posix names relative to `root` of the files below `root/folder` that end so; none where it is no folder."""
    try:
        entries = os.scandir(root / folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            name = f"{folder}/{entry.name}"
            if entry.name.endswith(suffixes):
                yield name
            elif entry.is_dir():
                yield from names_below(root, name, suffixes)


def paths_of(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Path by name, for files given relative to `root`."""
    return {name: f"{root}/{name}" for name in names}
