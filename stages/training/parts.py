"""The images of one step in equal parts, one after the other: less memory for the same step.

Most terms are means over images or over the cells of images. Parts are equally large, so the mean of their means is the
whole batch's; `factor` makes it so for a mean over valid pixels and for a sum. So a step in parts takes the whole
batch's gradient, up to rounding, as far as the network computes each image by itself. Batch norm does not: it
normalises each part by the part's own statistics, in the discriminator too. Dropout and the discriminator's
interpolation draw other random numbers for a part than for the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor

from stages.losses.upsampled import IGNORE


class Part(NamedTuple):
    """A part of a batch, among all of its parts."""

    parts: int
    valid: Tensor
    """Valid pixels of the part, over all processes; int64 scalar."""
    of: Tensor
    """Those of the whole batch."""


def parts_of(labels: Sequence[Tensor], fabric: Fabric) -> Sequence[Part | None]:
    """What there is to know of each part, from its labels n x H x W; None for a batch in one part."""
    if len(labels) == 1:
        return [None]
    counts = torch.stack([(part != IGNORE).sum() for part in labels])
    if fabric.world_size > 1:
        summed = fabric.all_reduce(counts, reduce_op="sum")
        assert isinstance(summed, Tensor), "a tensor is reduced to a tensor"
        counts = summed
    return [Part(len(labels), count, counts.sum()) for count in counts]


def factor(part: Part, over: str) -> Tensor | float:
    """Factor on a term's value in a part that makes the mean over the parts the whole batch's value.

    `over` is what the value is a mean over, as in `Bound`: nothing has to change where that is images.
    """
    if over == "images":
        return 1.0
    return float(part.parts) if over == "nothing" else part.valid * part.parts / part.of.clamp(min=1)


def mean_of(values: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of each value over the parts; exactly the part's own where there is one."""
    if len(values) == 1:
        return dict(values[0])
    return {name: torch.stack([part[name].float() for part in values]).mean() for name in values[0]}
