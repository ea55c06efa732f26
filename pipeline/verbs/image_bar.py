"""A progress bar over images whose number is known only once the work has begun."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from pipeline.progress import progress


class ImageBar:
    """`with ImageBar(title) as bar: done = bar(total); done(1)`: opens with the first call, closes with the block."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.stack = ExitStack()

    def __enter__(self) -> "ImageBar":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.stack.__exit__(*exception)

    def __call__(self, total: int) -> Callable[[int], None]:
        shown = self.stack.enter_context(progress(self.title, total, 0))
        return lambda count: shown.step(count, {})
