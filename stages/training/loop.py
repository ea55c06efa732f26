"""The one training loop: teacher, position network and student are all trained here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor, nn

from pipeline.errors import TrainingError
from pipeline.signals import HeldBack, Terminated
from pipeline.stage import Context
from stages.distributed.collectives import any_of
from stages.losses.watch import finished
from stages.training.checkpoint import Checkpoint, Row, Stateful, checkpoint_path
from stages.training.config import OptimiserConfig
from stages.training.device import precision_of
from stages.training.keeper import VAL, Keeper
from stages.training.learner import Learner
from stages.training.optimiser import told
from stages.training.parts import mean_of
from stages.training.record.readings import Readings
from stages.training.record.scalars import Write, scalars

HISTORY_EVERY = 10
LOWEST_SCALE = 2.0**-10
"""An fp16 loss under a smaller factor than this overflows by itself."""

Probe = Callable[[int], dict[str, Any]]
"""Looks at a step between forward and backward: iteration -> what the history keeps of it, `term_seconds` among it, or
{} for nothing. Of a batch in parts it sees the first."""
Prepare = Callable[[int, Any], Iterable[tuple[Any, ...]]]
"""Iteration, batch -> the module's arguments for each part of the batch: moves it to the device and runs what is
frozen, part by part."""


def train(
    fabric: Fabric,
    module: nn.Module,
    batches: Callable[[int], Generator[Any]],
    prepare: Prepare,
    config: OptimiserConfig,
    ctx: Context,
    title: str,
    adversary: Learner | None = None,
    probe: Probe | None = None,
    keeper: Keeper | None = None,
) -> list[Row]:
    """Train `module` in place for `config.iterations` steps; returns the history, one row every few steps.

    `batches(start)` yields batches from iteration `start` on. The module's forward returns (total loss, {term: value})
    and, third, what an adversary learns from, which takes its own step after each of the module's. `keeper` chooses
    the weights with which the module ends: the last, unless one is given.

    Several processes each see their share of a batch, and all end with the same weights and history.

    SIGTERM or Ctrl-C ends the training after the current step, with its state on disk, and raises Terminated or
    KeyboardInterrupt. TrainingError for a value that is not finite; the last good state stays on disk.
    """
    trainable = [p for p in module.parameters() if p.requires_grad]
    learner = Learner(module, [{"params": trainable, "lr": config.lr}], config)
    learners = {"module": learner} | ({"adversary": adversary} if adversary else {})
    training = Training(fabric, learners, keeper or Keeper(module, config.ema), config, ctx, title)
    start = training.resume()
    for each in learners.values():
        each.start(fabric)
    with (
        ctx.progress(title, config.iterations, start) as bar,
        scalars(ctx, title, config.tensorboard and ctx.group.leads, start) as training.write,
        HeldBack() as stop,
        closing(batches(start)) as stream,
    ):
        training.rate(start, stop)
        for iteration, batch in zip(range(start, config.iterations), stream, strict=False):
            values, noted = take_step(learner, adversary, prepare(iteration, batch), iteration, probe)
            training.note(iteration, values, noted)
            bar.step(config.batch, training.readings.latest)
            training.save_if_due(iteration + 1, stop)
            training.rate(iteration + 1, stop)
    training.keeper.publish()
    return training.history


class Training:
    """What a loop carries from step to step: the history, the clock, the checkpoint, the weights that are kept."""

    def __init__(
        self,
        fabric: Fabric,
        learners: Mapping[str, Learner],
        keeper: Keeper,
        config: OptimiserConfig,
        ctx: Context,
        title: str,
    ) -> None:
        self.learners = learners
        self.keeper = keeper
        self.config = config
        self.log = ctx.log
        self.title = title
        self.fabric = fabric
        self.precision = fabric.strategy.precision
        self.readings = Readings(title, fabric.device.type == "cpu", loss_scale(self.precision) is not None)
        parts: dict[str, Stateful] = {**learners, "precision": self.precision, "keeper": keeper}
        self.checkpoint = Checkpoint(checkpoint_path(ctx.scratch, title), parts, config, ctx.log)
        self.history: list[Row] = []
        self.write: Write = lambda row: None

    def resume(self) -> int:
        """Take up the state that an earlier process left; returns the iteration to go on from."""
        start, self.history = self.checkpoint.restore()
        self.log(f"{self.title}: {told(self.config, precision_of(self.fabric))}")
        if start:
            self.log(f"{self.title}: resumed at iteration {start} of {self.config.iterations}")
        self.clock = Clock(spent(self.history, start))
        return start

    def note(self, iteration: int, values: Mapping[str, Tensor], noted: dict[str, Any]) -> None:
        """Follow a step that was just taken; its values enter the history every few steps and where it was noted."""
        done = iteration + 1
        self.keeper.follow(done)
        self.readings.note(iteration, values)
        if noted or iteration % HISTORY_EVERY == 0 or self.config.iterations == done or self.rated_after(done):
            read = {name: value if math.isfinite(value) else None for name, value in self.readings.read().items()}
            lr = self.learners["module"].lr
            seconds = round(self.clock.seconds(), 2)
            self.history.append({"iteration": iteration, "seconds": seconds, "lr": lr, **read, **noted})
            self.write(self.history[-1])

    def save_if_due(self, done: int, stop: HeldBack) -> None:
        """Put the state after `done` steps on disk every few steps; where a stop was asked for, do so and raise it."""
        every = done % self.config.checkpoint_iterations == 0 or done == self.config.iterations
        asked = asked_of_any(stop)
        if not (every or asked or self.rated_after(done)):
            return
        self.readings.read()
        check_weights(self.learners, done - 1, self.title)
        check_scale(self.precision, self.title)
        self.checkpoint.save(done, self.history)
        if asked:
            self.log(f"{self.title}: stopped after {done} of {self.config.iterations} iterations, which are kept")
            raise asked

    def rated_after(self, done: int) -> bool:
        """Whether the weights are scored after `done` steps."""
        return self.keeper.due(done, self.config.iterations)

    def rate(self, done: int, stop: HeldBack) -> None:
        """Score the weights after `done` steps where that is due; the state lies on disk, so that a stop is at once."""
        if not self.rated_after(done):
            return
        began = time.perf_counter()
        with stop.at_once():
            score = self.keeper.rate()
        self.clock.leave_out(time.perf_counter() - began)
        self.history[-1][VAL] = score
        self.write({"iteration": done - 1, VAL: score})
        self.log(f"{self.title}: after {done} iterations mIoU {100 * score:.2f} % on val")


def asked_of_any(stop: HeldBack) -> KeyboardInterrupt | None:
    """What asked this process to stop, or another one: all stop after the same step."""
    return (stop.asked or Terminated()) if any_of(stop.asked is not None) else None


class Clock:
    """Seconds of training, those of earlier processes included and those of scoring not."""

    def __init__(self, before: float) -> None:
        self.began = time.perf_counter() - before

    def seconds(self) -> float:
        """So far."""
        return time.perf_counter() - self.began

    def leave_out(self, seconds: float) -> None:
        """Not count what was just spent on something else."""
        self.began += seconds


def spent(history: Sequence[Row], iterations: int) -> float:
    """Seconds that the first `iterations` took in earlier processes, at the pace of their history."""
    return float(history[-1]["seconds"] / (history[-1]["iteration"] + 1) * iterations) if history else 0.0


def take_step(
    learner: Learner, adversary: Learner | None, parts: Iterable[tuple[Any, ...]], iteration: int, probe: Probe | None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """One step of the module, then one of its adversary; the values of both, and what the probe noted."""
    values, given, noted = [], [], {}
    learner.clear()
    for number, arguments in enumerate(parts, 1):
        total, terms, *read = learner.wrapped(*arguments)
        if probe and number == 1:
            noted = probe(iteration)
        learner.backward(total)
        values.append({"total": total.detach(), **terms})
        given.append(read)
    norm = learner.step(iteration)
    critic = answer(adversary, given, iteration, noted) if adversary else {}
    return mean_of(values) | norm | critic, noted


def answer(
    adversary: Learner, given: Sequence[Sequence[Any]], iteration: int, noted: dict[str, Any]
) -> dict[str, Tensor]:
    """The adversary's step; its terms. Where the step is noted, its seconds stand beside the terms'."""
    began = finished(next(adversary.module.parameters())) if noted else 0.0
    values = []
    adversary.clear()
    for read in given:
        total, terms = adversary.wrapped(*read)
        adversary.backward(total)
        values.append({name: value.detach() for name, value in terms.items()})
    adversary.step(iteration)
    if noted:
        noted["term_seconds"]["adversary"] = round(finished(total) - began, 6)
    return mean_of(values)


def check_weights(learners: Mapping[str, Learner], iteration: int, title: str) -> None:
    """TrainingError before a checkpoint whose weights are not finite takes the place of one whose are."""
    for learner in learners.values():
        for name, parameter in learner.module.named_parameters():
            if not parameter.isfinite().all():
                raise TrainingError(
                    f"{title}: {name} is not finite after iteration {iteration}, although every term was: "
                    "lower lr; no checkpoint was written over a good one"
                )


def check_scale(precision: Any, title: str) -> None:
    """TrainingError where an fp16 training stands still: its scaler leaves out step after step."""
    scale = loss_scale(precision)
    if scale is not None and scale < LOWEST_SCALE:
        raise TrainingError(
            f"{title}: fp16 gradients overflow even under a loss scale of {scale:.2g}, so that no step is taken: "
            "choose precision bf16-mixed or fp32, or lower the terms' weights"
        )


def loss_scale(precision: Any) -> float | None:
    """Factor on the loss of a Fabric precision, None where it has no scaler; waits for the device."""
    scaler = getattr(precision, "scaler", None)
    return None if scaler is None else float(scaler.get_scale())
