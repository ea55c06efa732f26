"""The one training loop: teacher, position network and student are all trained here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pipeline.errors import TrainingError
from pipeline.stage import Context
from stages.losses.watch import finished
from stages.training.checkpoint import checkpoint_path, restore_checkpoint, save_checkpoint
from stages.training.config import OptimiserConfig
from stages.training.learner import Learner

HISTORY_EVERY = 10

Probe = Callable[[int], dict[str, Any]]
"""Looks at a step between forward and backward: iteration -> what the history keeps of it, `term_seconds` among it, or
{} for nothing."""


def train(
    fabric: Fabric,
    module: nn.Module,
    batches: Callable[[int], Iterable[Any]],
    prepare: Callable[[Any], tuple[Any, ...]],
    config: OptimiserConfig,
    ctx: Context,
    title: str,
    adversary: Learner | None = None,
    probe: Probe | None = None,
) -> list[dict[str, Any]]:
    """Train `module` in place for `config.iterations` steps; returns the history, one row every few steps.

    `batches(start)` yields batches from iteration `start` on; `prepare(batch)` moves one to the device, runs what
    is frozen, and gives the arguments of `module`, whose forward returns (total loss, {term: value}) and, third, what
    an adversary learns from. The adversary takes its own step after each of the module's.
    """
    trainable = [p for p in module.parameters() if p.requires_grad]
    learner = Learner(module, [{"params": trainable, "lr": config.lr}], config)
    learners = {"module": learner} | ({"adversary": adversary} if adversary else {})
    checkpoint = checkpoint_path(ctx.scratch, title)
    start, history = restore_checkpoint(checkpoint, learners)
    if start:
        ctx.log(f"{title}: resumed at iteration {start} of {config.iterations}")
    for each in learners.values():
        each.start(fabric)
    with ctx.progress(title, config.iterations, start) as bar:
        began = time.perf_counter() - spent(history, start)
        for iteration, batch in zip(range(start, config.iterations), batches(start), strict=False):
            total, terms, *given = learner.wrapped(*prepare(batch))
            values = {"total": float(total.detach()), **finite_values(terms, iteration, title)}
            noted = probe(iteration) if probe else {}
            learner.step(total, iteration)
            if adversary:
                values |= answer(adversary, given, iteration, title, noted)
            bar.step(config.batch, values)
            if noted or iteration % HISTORY_EVERY == 0 or iteration == config.iterations - 1:
                seconds = time.perf_counter() - began
                history.append({"iteration": iteration, "seconds": round(seconds, 2), **values, **noted})
            if (iteration + 1) % config.checkpoint_iterations == 0 or iteration + 1 == config.iterations:
                check_weights(learners, iteration, title)
                save_checkpoint(checkpoint, iteration + 1, learners, history)
    return history


def spent(history: list[dict[str, Any]], iterations: int) -> float:
    """Seconds that the first `iterations` took in earlier processes, at the pace of their history."""
    return float(history[-1]["seconds"] / (history[-1]["iteration"] + 1) * iterations) if history else 0.0


def answer(
    adversary: Learner, given: Sequence[Any], iteration: int, title: str, noted: dict[str, Any]
) -> dict[str, float]:
    """The adversary's step; its terms as floats. Where the step is noted, its seconds stand beside the terms'."""
    began = finished(next(adversary.module.parameters())) if noted else 0.0
    total, terms = adversary.wrapped(*given)
    values = finite_values(terms, iteration, title)
    adversary.step(total, iteration)
    if noted:
        noted["term_seconds"]["adversary"] = round(finished(total) - began, 6)
    return values


def finite_values(terms: Mapping[str, Tensor], iteration: int, title: str) -> dict[str, float]:
    """The terms as floats; a term that is not finite stops training and is named."""
    values = dict(zip(terms, torch.stack([v.detach().float() for v in terms.values()]).tolist(), strict=True))
    broken = [name for name, value in values.items() if not math.isfinite(value)]
    if broken:
        raise TrainingError(
            f"{title}: not finite at iteration {iteration}: {', '.join(broken)}: lower lr or the "
            "term's weight; nothing that is not finite was kept as a checkpoint"
        )
    return values


def check_weights(learners: Mapping[str, Learner], iteration: int, title: str) -> None:
    """TrainingError before a checkpoint whose weights are not finite takes the place of one whose are."""
    for learner in learners.values():
        for name, parameter in learner.module.named_parameters():
            if not parameter.isfinite().all():
                raise TrainingError(
                    f"{title}: {name} is not finite after iteration {iteration}, although every term was: "
                    "lower lr; no checkpoint was written over a good one"
                )
