"""A model that several candidates share, opened by the first that is loaded. It travels: Python 3.10."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any


class Opened:
    """Call it for the open model; `stack` closes it.

    Candidates call it within each inference, so that `again` changes what all of them run.
    """

    def __init__(self, open_it: Callable[[], Any], stack: ExitStack) -> None:
        self.open_it = open_it
        self.stack = stack
        self.found: Any = None

    def __call__(self) -> Any:
        """The model."""
        if self.found is None:
            self.found = self.open_it()
            self.stack.callback(self.close)
        return self.found

    def again(self) -> None:
        """Close the model and open it anew."""
        self.close()
        self.found = self.open_it()

    def close(self) -> None:
        """Close what is open; whoever calls afterwards opens it anew."""
        if self.found is not None:
            self.found.close()
            self.found = None
