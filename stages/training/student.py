"""Training a segmentation network under weighted loss terms, with a teacher or without one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pipeline.stage import Context
from stages.losses.methods import TermConfig
from stages.losses.terms import DistillationTerms
from stages.nets.catalogue import NetSpec
from stages.nets.normalise import Normalise
from stages.training.config import TrainingConfig
from stages.training.loader import Batch
from stages.training.loop import train
from stages.training.start import place

Maps = Mapping[str, Tensor]


class NetWithTerms(nn.Module):
    """A network under its weighted loss terms, so that the adapters inside the terms train along.

    forward: images N x H x W x 3 uint8 RGB, labels N x H x W uint8 (255 = ignore), the teacher's maps or None
    -> (weighted total, {term: unweighted value}).
    """

    def __init__(self, net: nn.Module, normalise: nn.Module, terms: DistillationTerms) -> None:
        super().__init__()
        self.net = net
        self.normalise = normalise
        self.terms = terms

    def forward(
        self, images_NHWC: Tensor, labels_NHW: Tensor, teacher_maps: Maps | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        values = self.terms(self.net(self.normalise(images_NHWC)), teacher_maps, labels_NHW)
        return self.terms.total(values), values


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
) -> list[dict[str, Any]]:
    """Train `net` in place under the given terms; returns the history."""
    terms = DistillationTerms(
        term_configs,
        student_channels=net.tap_channels,
        teacher_channels=teacher.net.tap_channels if teacher else {},
        position_net=teacher.position_net if teacher else None,
        student_has_aux=net.aux_head is not None,
    )
    for line in terms.describe():
        ctx.log(line)
    module = NetWithTerms(net, Normalise(spec.mean, spec.std), terms)
    place(module, config, ctx.device)
    frozen = FrozenTeacher(teacher, config, ctx.device) if teacher else None

    def prepare(batch: Batch) -> tuple[Tensor, Tensor, Maps | None]:
        images_NHWC = batch.images_NHWC.to(ctx.device, non_blocking=True)
        labels_NHW = batch.labels_NHW.to(ctx.device, non_blocking=True)
        with fabric.autocast():
            return images_NHWC, labels_NHW, frozen(images_NHWC) if frozen else None

    return train(fabric, module, batches, prepare, config, ctx, title)


class FrozenTeacher:
    """Calls a teacher in eval mode without gradients; not a module, so that no checkpoint carries it along."""

    def __init__(self, teacher: Teacher, config: TrainingConfig, device: str) -> None:
        self.normalise = Normalise(teacher.spec.mean, teacher.spec.std).to(device)
        self.net = place(teacher.net, config, device).eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, images_NHWC: Tensor) -> dict[str, Tensor]:
        return self.net(self.normalise(images_NHWC))
