"""Writing so that a kill or a power cut leaves the old file or the new one, whole."""

import os
from collections.abc import Iterator
from errno import EINVAL, ENOTSUP
from pathlib import Path

FLUSHED_AT_ONCE = 8
"""Files that are flushed side by side, so that a disk writes its journal once for several."""


def replace_text(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def flush_tree(folder: Path) -> None:
    """Wait until every file and folder below `folder` is on the disk."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(FLUSHED_AT_ONCE) as pool:
        list(pool.map(flush_file, files_below(folder)))
    for place, _, _ in os.walk(folder):
        flush_folder(Path(place))


def flush_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, where the file system can do that."""
    try:
        flush_file(path)
    except OSError as error:
        if error.errno not in (EINVAL, ENOTSUP):
            raise


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder, whatever its depth."""
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names)
