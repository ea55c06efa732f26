"""What is noted of the terms in the few steps that are looked at closely."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class Watch:
    """Collects, in one step, the student's maps and the unweighted terms with their graph, and each term's seconds."""

    def __init__(self) -> None:
        self.maps: Mapping[str, Tensor] = {}
        self.values: Mapping[str, Tensor] = {}
        self.seconds: dict[str, float] = {}

    @contextmanager
    def lap(self, name: str, on: Tensor) -> Iterator[None]:
        """Adds the wall clock of the block to a term, once the device of `on` has done what it was given."""
        began = finished(on)
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + finished(on) - began


def finished(on: Tensor) -> float:
    """The clock in seconds when the tensor's device has nothing left to do."""
    if on.is_cuda:
        torch.cuda.synchronize(on.device)
    return time.perf_counter()
