"""Training a segmentation network under weighted loss terms, with a teacher or without one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, Self

from lightning_fabric import Fabric
from torch import Tensor, nn

from pipeline.gaps.report import AFTER, BEFORE
from pipeline.stage import Context
from stages.loading.loader import Batch
from stages.losses.methods import TermConfig
from stages.losses.terms import DistillationTerms, Pairs
from stages.nets.catalogue import NetSpec
from stages.nets.normalise import Normalise
from stages.nets.shapes import map_shapes
from stages.training.adversary import Critics
from stages.training.batch_norm import freeze_statistics, synchronised
from stages.training.compiled import Call, compiled
from stages.training.config import TrainingConfig
from stages.training.device import resolve_precision
from stages.training.frozen import FrozenTeacher
from stages.training.keeper import Keeper, Score
from stages.training.learner import Learner
from stages.training.loop import train
from stages.training.memory import memory_told, too_large
from stages.training.parts import Part, factor, parts_of
from stages.training.schedule import ramp
from stages.training.start import place

Maps = Mapping[str, Tensor]
Weights = Mapping[str, float]
Look = Callable[[str, "NetWithTerms", Callable[[Tensor], Maps] | None], None]
"""Looks at what is trained `before` and `after` its training, given what calls the teacher."""


class Probe(Protocol):
    """Looks on while a network trains, and changes nothing."""

    def attach(self, net: nn.Module, terms: DistillationTerms, weights_at: Callable[[int], Weights]) -> None:
        """Learn what is trained."""

    def look(self, iteration: int) -> None:
        """Called before the forward pass of an iteration."""

    def __call__(self, iteration: int) -> dict[str, Any]:
        """Called between forward and backward; what it gives goes into the history."""


class NetWithTerms(nn.Module):
    """A network under its weighted loss terms, so that the adapters inside the terms train along.

    forward: images N x H x W x 3 uint8 RGB, labels N x H x W uint8 (255 = ignore), the teacher's maps or None, the
    weight of each term, and which part of the batch these are, if not all -> (weighted total, {term: unweighted value,
    without graph}, what the critics learn from).
    """

    def __init__(
        self,
        net: nn.Module,
        normalise: nn.Module,
        terms: DistillationTerms,
        compile: bool = False,
        frozen_statistics: bool = False,
    ) -> None:
        super().__init__()
        self.net = net
        self.normalise = normalise
        self.terms = terms
        self.compiled: Call | None = compiled(net) if compile else None
        self.frozen_statistics = frozen_statistics
        """Whether batch norm keeps its running statistics while the rest is in training mode."""

    def train(self, mode: bool = True) -> Self:
        """As every module's, but for batch norm that is frozen."""
        super().train(mode)
        if self.frozen_statistics:
            freeze_statistics(self.net)
        return self

    def forward(
        self,
        images_NHWC: Tensor,
        labels_NHW: Tensor,
        teacher_maps: Maps | None,
        weights: Weights,
        part: Part | None = None,
    ) -> tuple[Tensor, dict[str, Tensor], Pairs]:
        # Who looks at single terms reads the graph behind each of them, and a compiled one has a single node.
        net = self.net if self.compiled is None or self.terms.watch else self.compiled
        maps = net(self.normalise(images_NHWC))
        values = self.terms(maps, teacher_maps, labels_NHW)
        if part is not None:
            values = {name: factor(part, self.terms.bound[name].over) * value for name, value in values.items()}
        detached = {name: value.detach() for name, value in values.items()}
        return self.terms.total(values, weights), detached, self.terms.critics_read(maps, teacher_maps)


@dataclass(frozen=True)
class Teacher:
    """A frozen network, its input scaling, and the position network that was trained on its features."""

    net: nn.Module
    spec: NetSpec
    position_net: nn.Module | None = None


def train_net(
    fabric: Fabric,
    net: nn.Module,
    spec: NetSpec,
    term_configs: Mapping[str, TermConfig],
    batches: Callable[[int], Generator[Batch]],
    config: TrainingConfig,
    ctx: Context,
    title: str,
    teacher: Teacher | None = None,
    probe: Probe | None = None,
    look: Look | None = None,
    score: Score | None = None,
) -> list[dict[str, Any]]:
    """Train `net` in place under the given terms; returns the history. `score` gives the mIoU of `net` on val."""
    with memory_told(too_large(title, config, ctx)):
        place(net, config, ctx.device)
        frozen = frozen_teacher(fabric, teacher, config, ctx) if teacher else None
        terms = DistillationTerms(
            term_configs,
            student=map_shapes(net, config.crop_px),
            teacher=frozen.shapes if frozen else {},
            position_net=teacher.position_net if teacher else None,
            student_has_aux=net.aux_head is not None,
        )
        for line in terms.describe():
            ctx.log(line)
        normalise, frozen_statistics = Normalise(spec.mean, spec.std), config.batch_norm == "frozen"
        module = NetWithTerms(net, normalise, terms, config.compile, frozen_statistics)
        place(module, config, ctx.device)
        keeper = Keeper(module, config.ema, score, config.validate_iterations, config.keep == "best")
        adversary = critics_learner(terms, config, ctx)
        weights_at = partial(weights_after, terms.configs, config.iterations)
        prepare = Feed(fabric, frozen, weights_at, config.accumulate, ctx.device, probe)
        if probe:
            probe.attach(net, terms, weights_at)
        if look:
            look(BEFORE, module, frozen)
        history = train(fabric, module, batches, prepare, config, ctx, title, adversary, probe, keeper)
        if look:
            look(AFTER, module, frozen)
    return history


def frozen_teacher(fabric: Fabric, teacher: Teacher, config: TrainingConfig, ctx: Context) -> FrozenTeacher:
    """The teacher on the device, as cheap to call as it can be."""
    net = place(teacher.net, config, ctx.device)
    precision = resolve_precision(config.precision, ctx.device)
    frozen = FrozenTeacher(net, teacher.spec, config.crop_px, precision, fabric.autocast, config.compile)
    ctx.log(f"teacher {teacher.spec.net}: {frozen.folded} batch norms folded into their convolutions")
    return frozen


def critics_learner(terms: DistillationTerms, config: TrainingConfig, ctx: Context) -> Learner | None:
    """The critics of the terms as one learner; None where no term has one."""
    if not terms.critics:
        return None
    critics = Critics(terms)
    synchronised(critics, config, ctx)
    place(critics, config, ctx.device)
    return Learner(critics, critics.parameter_groups(), config)


class Feed:
    """From a batch to what `NetWithTerms` reads, part by part: on the device, with the teacher's maps."""

    def __init__(
        self,
        fabric: Fabric,
        frozen: FrozenTeacher | None,
        weights_at: Callable[[int], Weights],
        parts: int,
        device: str,
        probe: Probe | None,
    ) -> None:
        self.fabric = fabric
        self.frozen = frozen
        self.weights_at = weights_at
        self.parts = parts
        self.device = device
        self.probe = probe

    def __call__(
        self, iteration: int, batch: Batch
    ) -> Iterator[tuple[Tensor, Tensor, Maps | None, Weights, Part | None]]:
        """The arguments of each part; the probe looks at the first."""
        if self.probe:
            self.probe.look(iteration)
        images = batch.images_NHWC.to(self.device, non_blocking=True).chunk(self.parts)
        labels = batch.labels_NHW.to(self.device, non_blocking=True).chunk(self.parts)
        weights = self.weights_at(iteration)
        for images_nHWC, labels_nHW, part in zip(images, labels, parts_of(labels, self.fabric), strict=True):
            yield images_nHWC, labels_nHW, self.frozen(images_nHWC) if self.frozen else None, weights, part


def weights_after(terms: Mapping[str, TermConfig], iterations: int, iteration: int) -> dict[str, float]:
    """Weight of each term in an iteration."""
    return scheduled_weights(terms, iteration / iterations)


def scheduled_weights(terms: Mapping[str, TermConfig], progress: float) -> dict[str, float]:
    """Weight of each term after the share `progress` of the training."""
    return {name: term.weight * (ramp(progress, *term.ramp) if term.ramp else 1.0) for name, term in terms.items()}
