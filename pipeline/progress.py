"""Progress of a loop: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_EVERY_S = 10.0


class Meter:
    """Counts iterations and images; the rate leaves out what was done before this process."""

    def __init__(self, title: str, total: int, done: int) -> None:
        self.title, self.total, self.done = title, total, done
        self.began_at, self.began_s = done, time.perf_counter()
        self.images = 0
        self.terms: Mapping[str, float] = {}

    def count(self, iterations: int, images: int, terms: Mapping[str, float]) -> None:
        """Add what was done since the last call."""
        self.done += iterations
        self.images += images
        self.terms = terms

    def text(self) -> str:
        """`20/100  43.1 images/s  ETA 0:01:03  total 1.21 supervised 0.98`; no rate where no images are counted."""
        seconds = max(time.perf_counter() - self.began_s, 1e-9)
        made = self.done - self.began_at
        left = timedelta(seconds=round(seconds / made * (self.total - self.done))) if made else "?"
        rate = f"{self.images / seconds:.1f} images/s" if self.images else ""
        terms = " ".join(f"{name} {value:.4g}" for name, value in self.terms.items())
        return "  ".join(part for part in (f"{self.done}/{self.total}", rate, f"ETA {left}", terms) if part)


class LineBar:
    """Prints the meter as a line now and then, and at the end."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.printed_s = time.perf_counter()

    def step(self, images: int, terms: Mapping[str, float]) -> None:
        """Count one iteration and print a line where enough time has gone by."""
        self.meter.count(1, images, terms)
        if time.perf_counter() - self.printed_s >= LINE_EVERY_S or self.meter.done == self.meter.total:
            self.printed_s = time.perf_counter()
            print(f"{self.meter.title}  {self.meter.text()}", file=sys.stderr, flush=True)


@contextmanager
def terminal_bar(meter: Meter) -> Iterator["TerminalBar"]:
    """A rich progress bar for the length of the block."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    # On a narrow terminal the terms go on in further lines, where they would be cut off.
    text = TextColumn("{task.fields[text]}", table_column=Column(no_wrap=False))
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), text)
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield TerminalBar(meter, progress)


class TerminalBar:
    """Redraws the meter behind a bar."""

    def __init__(self, meter: Meter, progress: "Progress") -> None:
        self.meter, self.progress = meter, progress
        self.task = progress.add_task(meter.title, total=meter.total, completed=meter.done, text="")

    def step(self, images: int, terms: Mapping[str, float]) -> None:
        """Count one iteration and draw the bar anew."""
        self.meter.count(1, images, terms)
        self.progress.update(self.task, completed=self.meter.done, text=self.meter.text())


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[LineBar | TerminalBar]:
    """A progress bar fit for where the output goes."""
    meter = Meter(title, total, done)
    if sys.stderr.isatty():
        with terminal_bar(meter) as bar:
            yield bar
    else:
        yield LineBar(meter)
