"""Values of the steps, read from the device only now and then: reading waits for all that it was given to do."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from pipeline.errors import TrainingError
from stages.distributed.collectives import averaged
from stages.training.learner import GRADIENT_NORM

READ_EVERY = 10
"""Steps of a GPU between two readings: so late a value that is not finite is noticed at most."""


class Readings:
    """Scalars of each step by name, means over the processes; `latest` holds those of the last step that was read.

    A CPU's are read in every step. TrainingError names the first step with a value that is not finite; a gradient's
    norm may be infinite where `scaled`: a scaler that tries out its factor leaves such a step out.
    """

    def __init__(self, title: str, on_cpu: bool, scaled: bool) -> None:
        self.title = title
        self.every = 1 if on_cpu else READ_EVERY
        self.scaled = scaled
        self.waiting: list[tuple[int, tuple[str, ...], Tensor]] = []
        self.latest: dict[str, float] = {}

    def note(self, iteration: int, values: Mapping[str, Tensor]) -> None:
        """Take the values of a step, and read what waits when it is time."""
        self.waiting.append((iteration, tuple(values), torch.stack([v.detach().float() for v in values.values()])))
        if len(self.waiting) >= self.every:
            self.read()

    def read(self) -> Mapping[str, float]:
        """All that waits; returns the last step's."""
        for iteration, names, numbers in self.waiting:
            self.latest = dict(zip(names, averaged(numbers).tolist(), strict=True))
            self.check(iteration)
        self.waiting.clear()
        return self.latest

    def check(self, iteration: int) -> None:
        """TrainingError where a value just read is not finite."""
        broken = [name for name, value in self.latest.items() if not math.isfinite(value)]
        if self.scaled:
            broken = [name for name in broken if name != GRADIENT_NORM]
        # The weighted total breaks with any of its terms.
        terms = [name for name in broken if name != "total"] or broken
        if terms:
            raise TrainingError(
                f"{self.title}: not finite at iteration {iteration}: {', '.join(terms)}: lower lr or the term's "
                "weight, or give clip_norm (each makes another artifact, which starts anew); nothing that is not "
                "finite was kept as a checkpoint, and the same command unchanged goes on from the last good one, if "
                "there was any"
            )
