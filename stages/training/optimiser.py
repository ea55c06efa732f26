"""The optimisers that a recipe may name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from stages.training.config import OptimiserConfig

Groups = Iterable[dict[str, Any]]
"""torch's parameter groups, each with its base `lr`."""


def optimizer_of(groups: Groups, config: OptimiserConfig) -> torch.optim.Optimizer:
    """The config's optimiser over the groups.

    SGD decays every parameter, as the public code of Liu et al. 2019 does. AdamW spares biases and the scales and
    shifts of norm layers, as published settings of it for segmentation do (Liu et al. 2021, Swin; Xie et al. 2021,
    SegFormer): its decay does not pass through the adaptive step, and pulls a scale towards 0 for its own sake.
    """
    if config.optimiser == "sgd":
        return torch.optim.SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay)
    return torch.optim.AdamW(by_decay(groups), betas=config.betas, weight_decay=config.weight_decay)


def by_decay(groups: Groups) -> list[dict[str, Any]]:
    """Each group cut in two: matrices and kernels, and without decay what has one axis or none."""
    split = []
    for group in groups:
        matrices = [p for p in group["params"] if p.ndim > 1]
        vectors = [p for p in group["params"] if p.ndim <= 1]
        split += [{**group, "params": matrices}] if matrices else []
        split += [{**group, "params": vectors, "weight_decay": 0.0}] if vectors else []
    return split


def told(config: OptimiserConfig, precision: str) -> str:
    """One line of what takes a step, in the precision that was resolved; what the optimiser does not read is said."""
    if config.optimiser == "sgd":
        how = f"sgd, momentum {config.momentum:g}"
    else:
        how = f"adamw, betas {config.betas[0]:g} and {config.betas[1]:g} (momentum is not used)"
    line = f"{how}, lr {config.lr:g}, weight decay {config.weight_decay:g}, precision {precision}"
    line += f", clipped to norm {config.clip_norm:g}" if config.clip_norm else ""
    line += f", batch in {config.accumulate} parts" if config.accumulate > 1 else ""
    return line + (f", moving average of the weights {config.ema:g}" if config.ema else "")
