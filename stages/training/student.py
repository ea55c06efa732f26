"""Training a segmentation network under weighted loss terms, with a teacher or without one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pipeline.gaps.report import AFTER, BEFORE
from pipeline.stage import Context
from stages.losses.methods import TermConfig
from stages.losses.terms import DistillationTerms, Pairs
from stages.nets.catalogue import NetSpec
from stages.nets.normalise import Normalise
from stages.nets.shapes import map_shapes
from stages.training.adversary import Critics
from stages.training.config import TrainingConfig
from stages.training.learner import Learner
from stages.training.loader import Batch
from stages.training.loop import train
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
    weight of each term -> (weighted total, {term: unweighted value, without graph}, what the critics learn from).
    """

    def __init__(self, net: nn.Module, normalise: nn.Module, terms: DistillationTerms) -> None:
        super().__init__()
        self.net = net
        self.normalise = normalise
        self.terms = terms

    def forward(
        self, images_NHWC: Tensor, labels_NHW: Tensor, teacher_maps: Maps | None, weights: Weights
    ) -> tuple[Tensor, dict[str, Tensor], Pairs]:
        maps = self.net(self.normalise(images_NHWC))
        values = self.terms(maps, teacher_maps, labels_NHW)
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
    batches: Callable[[int], Iterable[Batch]],
    config: TrainingConfig,
    ctx: Context,
    title: str,
    teacher: Teacher | None = None,
    probe: Probe | None = None,
    look: Look | None = None,
) -> list[dict[str, Any]]:
    """Train `net` in place under the given terms; returns the history."""
    place(net, config, ctx.device)
    frozen = FrozenTeacher(teacher, config, ctx.device) if teacher else None
    terms = DistillationTerms(
        term_configs,
        student=map_shapes(net, config.crop_px),
        teacher=map_shapes(frozen.net, config.crop_px) if frozen else {},
        position_net=teacher.position_net if teacher else None,
        student_has_aux=net.aux_head is not None,
    )
    for line in terms.describe():
        ctx.log(line)
    module = NetWithTerms(net, Normalise(spec.mean, spec.std), terms)
    place(module, config, ctx.device)
    adversary = None
    if terms.critics:
        critics = Critics(terms)
        place(critics, config, ctx.device)
        adversary = Learner(critics, critics.parameter_groups(), config)

    def weights_at(iteration: int) -> dict[str, float]:
        return scheduled_weights(terms.configs, iteration / config.iterations)

    if probe:
        probe.attach(net, terms, weights_at)

    def numbered(start: int) -> Iterator[tuple[int, Batch]]:
        return enumerate(batches(start), start)

    def prepare(numbered_batch: tuple[int, Batch]) -> tuple[Tensor, Tensor, Maps | None, Weights]:
        iteration, batch = numbered_batch
        if probe:
            probe.look(iteration)
        images_NHWC = batch.images_NHWC.to(ctx.device, non_blocking=True)
        labels_NHW = batch.labels_NHW.to(ctx.device, non_blocking=True)
        with fabric.autocast():
            teacher_maps = frozen(images_NHWC) if frozen else None
        return images_NHWC, labels_NHW, teacher_maps, weights_at(iteration)

    if look:
        look(BEFORE, module, frozen)
    history = train(fabric, module, numbered, prepare, config, ctx, title, adversary, probe)
    if look:
        look(AFTER, module, frozen)
    return history


def scheduled_weights(terms: Mapping[str, TermConfig], progress: float) -> dict[str, float]:
    """Weight of each term after the share `progress` of the training."""
    return {name: term.weight * (ramp(progress, *term.ramp) if term.ramp else 1.0) for name, term in terms.items()}


class FrozenTeacher:
    """Calls a teacher in eval mode without gradients; not a module, so that no checkpoint carries it along."""

    def __init__(self, teacher: Teacher, config: TrainingConfig, device: str) -> None:
        self.normalise = Normalise(teacher.spec.mean, teacher.spec.std).to(device)
        self.net = place(teacher.net, config, device).eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, images_NHWC: Tensor) -> dict[str, Tensor]:
        return self.net(self.normalise(images_NHWC))
