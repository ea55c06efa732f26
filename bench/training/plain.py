"""The comparison of bench.training: a training loop as the public repositories of the field write it.

float32, contiguous N x C x H x W, torch's own dilated convolutions, Pillow and torchvision.transforms in a DataLoader's
workers, logits upsampled whole for torch's own cross-entropy, every loss read out for the log in each step. The
distillation terms are this project's functions: no public code has all of them, and it would not have them faster.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, RandomSampler

from bench.data import Pictured, Plain
from stages.loading.loader import Batch
from stages.losses.methods import TermConfig
from stages.losses.terms import DistillationTerms
from stages.nets.dilated import DilatedConv2d
from stages.nets.shapes import map_shapes
from stages.training.adversary import Critics
from stages.training.config import TrainingConfig
from stages.training.student import Teacher

LABELLED = ("supervised", "auxiliary")
"""Terms that torch's own operators compute here."""
ENDLESS = 10_000_000

Maps = Mapping[str, Tensor]


class Crops(Dataset[tuple[Tensor, Tensor]]):
    """Augmented samples: float32 3 x H x W, int64 H x W."""

    def __init__(self, files: Pictured, config: TrainingConfig) -> None:
        self.plain = Plain(files, config.crop_px, config.scale)
        self.samples = files.index.samples("train")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.plain.crop(self.samples[i])


def batches(files: Pictured, config: TrainingConfig, pin: bool) -> Iterator[Batch]:
    """An endless stream of normalised crops, loaded by as many workers as our own loop has."""
    crops = Crops(files, config)
    return iter(
        DataLoader(
            crops,
            batch_size=config.batch,
            # One epoch without end, so that no workers are started anew in the middle.
            sampler=RandomSampler(crops, replacement=True, num_samples=ENDLESS),
            num_workers=config.workers,
            multiprocessing_context="fork" if config.workers and sys.platform == "linux" else None,
            pin_memory=pin,
        )
    )


class PlainTraining:
    """One network under the terms of a method, with a teacher or without; `step` is one iteration."""

    def __init__(
        self,
        net: nn.Module,
        terms: Mapping[str, TermConfig],
        files: Pictured,
        config: TrainingConfig,
        device: str,
        teacher: Teacher | None,
    ) -> None:
        self.net, self.configs, self.device = with_torchs_convolutions(net).to(device).train(), terms, device
        self.teacher = teacher.net.to(device).eval().requires_grad_(False) if teacher else None
        self.terms = DistillationTerms(
            {name: term for name, term in terms.items() if name not in LABELLED},
            student=map_shapes(net, config.crop_px),
            teacher=map_shapes(self.teacher, config.crop_px) if self.teacher else {},
            position_net=teacher.position_net.to(device) if teacher and teacher.position_net else None,
        ).to(device)
        trained = [p for p in (*net.parameters(), *self.terms.parameters()) if p.requires_grad]
        momentum, decay = config.momentum, config.weight_decay
        self.optimizer = torch.optim.SGD(trained, lr=config.lr, momentum=momentum, weight_decay=decay)
        self.critics = Critics(self.terms).to(device) if self.terms.critics else None
        if self.critics:
            groups = self.critics.parameter_groups()
            self.critics_optimizer = torch.optim.SGD(groups, momentum=momentum, weight_decay=decay)
        self.stream = batches(files, config, pin=device == "cuda")

    def step(self) -> dict[str, float]:
        """Every loss of this iteration by name."""
        images_NCHW, labels_NHW = (each.to(self.device, non_blocking=True) for each in next(self.stream))
        with torch.no_grad():
            teacher_maps = self.teacher(images_NCHW) if self.teacher else None
        maps = self.net(images_NCHW)
        values = self.labelled(maps, labels_NHW) | self.terms(maps, teacher_maps, labels_NHW)
        loss = torch.stack([self.configs[name].weight * value for name, value in values.items()]).sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        shown = {name: value.item() for name, value in values.items()}
        return shown | (self.answer(maps, teacher_maps) if self.critics else {})

    def labelled(self, maps: Maps, labels_NHW: Tensor) -> dict[str, Tensor]:
        """Cross-entropy of the logits, and of the auxiliary head's where the network has one."""
        read = {name: maps[self.configs[name].tap] for name in LABELLED if self.configs[name].tap in maps}
        return {name: cross_entropy(logits_NChw, labels_NHW) for name, logits_NChw in read.items()}

    def answer(self, maps: Maps, teacher_maps: Maps | None) -> dict[str, float]:
        """The critics' step."""
        assert self.critics is not None
        loss, values = self.critics(self.terms.critics_read(maps, teacher_maps))
        self.critics_optimizer.zero_grad()
        loss.backward()
        self.critics_optimizer.step()
        return {name: value.item() for name, value in values.items()}


def with_torchs_convolutions(net: nn.Module) -> nn.Module:
    """`net`, its dilated convolutions now computed as nn.Conv2d computes them, forward and backward."""
    for module in net.modules():
        if isinstance(module, DilatedConv2d):
            module.by_phases = False
    return net


def cross_entropy(logits_NChw: Tensor, labels_NHW: Tensor) -> Tensor:
    """Mean over valid pixels after the logits were upsampled to the labels' grid."""
    size = labels_NHW.shape[-2:]
    upsampled_NCHW = F.interpolate(logits_NChw, size=size, mode="bilinear", align_corners=True)
    return F.cross_entropy(upsampled_NCHW, labels_NHW, ignore_index=255)
