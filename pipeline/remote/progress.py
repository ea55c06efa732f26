"""Progress of a transfer: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.progress import LINE_EVERY_S

MB = 1e6
Count = Callable[[int], None]
"""Called with the bytes that were moved since the last call."""


@contextmanager
def byte_progress(title: str, total_bytes: int) -> Iterator[Count]:
    """A counter that shows on stderr how far a transfer has come."""
    if sys.stderr.isatty():
        with terminal_counter(title, total_bytes) as count:
            yield count
    else:
        yield line_counter(title, total_bytes)


@contextmanager
def terminal_counter(title: str, total_bytes: int) -> Iterator[Count]:
    """A rich progress bar for the length of the block."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total_bytes)

        def count(moved: int) -> None:
            progress.advance(task, moved)

        yield count


def line_counter(title: str, total_bytes: int) -> Count:
    """Prints `title: 120.0 of 250.3 MB, 11.2 MB/s` now and then."""
    done, began_s = 0, time.perf_counter()
    printed_s = began_s

    def count(moved: int) -> None:
        nonlocal done, printed_s
        done += moved
        now_s = time.perf_counter()
        if now_s - printed_s >= LINE_EVERY_S:
            printed_s = now_s
            rate = done / MB / (now_s - began_s)
            line = f"{title}: {done / MB:.1f} of {total_bytes / MB:.1f} MB, {rate:.1f} MB/s"
            print(line, file=sys.stderr, flush=True)

    return count
