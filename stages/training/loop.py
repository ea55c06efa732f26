"""The one training loop: teacher, position network and student are all trained here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pipeline.errors import TrainingError
from pipeline.stage import Context
from stages.training.checkpoint import checkpoint_path, restore_checkpoint, save_checkpoint
from stages.training.config import OptimiserConfig
from stages.training.schedule import poly

HISTORY_EVERY = 10


def train(
    fabric: Fabric,
    module: nn.Module,
    batches: Callable[[int], Iterable[Any]],
    prepare: Callable[[Any], tuple[Any, ...]],
    config: OptimiserConfig,
    ctx: Context,
    title: str,
) -> list[dict[str, Any]]:
    """Train `module` in place for `config.iterations` steps; returns the history, one row every few steps.

    `batches(start)` yields batches from iteration `start` on; `prepare(batch)` moves one to the device, runs what
    is frozen, and gives the arguments of `module`, whose forward returns (total loss, {term: value}).
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
    checkpoint = checkpoint_path(ctx.scratch, title)
    start, history = restore_checkpoint(checkpoint, module, optimizer)
    if start:
        ctx.log(f"{title}: resumed at iteration {start} of {config.iterations}")
    wrapped, optimizer = fabric.setup(module, optimizer)
    module.train()
    with ctx.progress(title, config.iterations, start) as bar:
        began = time.perf_counter()
        for iteration, batch in zip(range(start, config.iterations), batches(start), strict=False):
            set_learning_rate(optimizer, config, iteration)
            total, terms = wrapped(*prepare(batch))
            values = finite_values(total, terms, iteration, title)
            optimizer.zero_grad(set_to_none=True)
            fabric.backward(total)
            optimizer.step()
            bar.step(config.batch, values)
            if iteration % HISTORY_EVERY == 0 or iteration == config.iterations - 1:
                seconds = time.perf_counter() - began
                history.append({"iteration": iteration, "seconds": round(seconds, 2), **values})
            if (iteration + 1) % config.checkpoint_iterations == 0 or iteration + 1 == config.iterations:
                save_checkpoint(checkpoint, iteration + 1, module, optimizer.optimizer, history)
    return history


def set_learning_rate(optimizer: Any, config: OptimiserConfig, iteration: int) -> None:
    """Set the scheduled learning rate of this iteration in every parameter group."""
    factor = poly(iteration / config.iterations, config.poly_power, config.warmup)
    for group in optimizer.param_groups:
        group["lr"] = config.lr * factor


def finite_values(total: Tensor, terms: Mapping[str, Tensor], iteration: int, title: str) -> dict[str, float]:
    """The terms as floats; a term that is not finite stops training and is named."""
    values = dict(zip(terms, torch.stack([v.detach().float() for v in terms.values()]).tolist(), strict=True))
    broken = [name for name, value in values.items() if not math.isfinite(value)]
    if broken:
        raise TrainingError(
            f"{title}: {', '.join(broken)} is not finite at iteration {iteration}: "
            "lower lr or the term's weight; the last checkpoint is kept"
        )
    return {"total": float(total.detach()), **values}
