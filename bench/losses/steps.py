"""What the benchmark of the losses measures: one step of each term on maps as a training gives them, and the floor.

The floor of a training step is what no choice of losses can spare: the teacher's forward pass and the student's forward
and backward pass. Every callable here returns when the device has finished.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.turns.timing import Call, Candidate
from stages.losses.maps import at_least_fp32
from stages.losses.methods import KINDS, METHODS, TermConfig, resolve
from stages.losses.terms import DistillationTerms
from stages.losses.tokens import class_tokens, labels_on_grid
from stages.nets.catalogue import build
from stages.nets.position import PositionNet
from stages.nets.shapes import MapShape, map_shapes
from stages.position import Config as PositionConfig
from stages.training.adversary import Critics
from stages.training.device import has_native_bf16

FLOOR = "floor"
IDD = "idd without supervised, auxiliary, holistic"
COMPOSED = "supervised, as torch composes it"
TOKENS, DENSE = "tokens by one matrix product", "tokens by dense masks in a loop"
APART = ("supervised", "auxiliary", "holistic")
"""Terms of IDD that are stated apart: the first two every training has, the third is another network's training."""
IGNORED_SHARE = 0.1


@dataclass(frozen=True)
class Net:
    """A network of the catalogue."""

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Size:
    """A pair of networks and the batch on which they are trained."""

    batch: int
    classes: int
    crop_px: tuple[int, int]
    teacher: Net
    student: Net


SIZES: Mapping[str, Size] = {
    "paper": Size(8, 19, (512, 512), Net("pspnet_resnet101"), Net("pspnet_resnet18")),
    "quickstart": Size(
        8, 8, (96, 192), Net("pspnet_resnet18", {"width": 0.5}), Net("pspnet_resnet18", {"width": 0.25})
    ),
}


class Steps:
    """Makes the candidates of one size on one device; all share the maps, of the dtype that a training there has."""

    def __init__(self, size: Size, device: str, floor_batch: int) -> None:
        torch.manual_seed(0)
        self.size, self.device, self.floor_batch = size, device, floor_batch
        self.bf16 = has_native_bf16(device)
        teacher, student = self.net(size.teacher).eval(), self.net(size.student)
        self.student_shapes = map_shapes(student, size.crop_px)
        self.teacher_shapes = map_shapes(teacher, size.crop_px)
        self.student = {tap: self.random_map(shape).requires_grad_() for tap, shape in self.student_shapes.items()}
        self.student["aux"] = self.random_map(self.student_shapes["logits"]).requires_grad_()
        self.teacher = {tap: self.random_map(shape) for tap, shape in self.teacher_shapes.items()}
        labels = torch.randint(0, size.classes, (size.batch, *size.crop_px), dtype=torch.uint8, device=device)
        # Regions and not noise: what lies beside a pixel is mostly of its class.
        blocks = F.interpolate(labels[:, None, ::16, ::16].float(), size=size.crop_px)[:, 0].to(torch.uint8)
        self.labels_NHW = blocks.masked_fill(torch.rand(blocks.shape, device=device) < IGNORED_SHARE, 255)

    def net(self, net: Net) -> nn.Module:
        """A new network, placed as a training places it."""
        built = build(net.name, self.size.classes, **net.args)
        return built.to(device=self.device, memory_format=torch.channels_last)

    def random_map(self, shape: MapShape) -> Tensor:
        """A map of the batch in the dtype and memory format that a network gives under autocast."""
        dtype = torch.bfloat16 if self.bf16 else torch.float32
        map_NChw = torch.randn(self.size.batch, *shape, device=self.device).to(dtype)
        return map_NChw.contiguous(memory_format=torch.channels_last)

    def autocast(self) -> Any:
        """The precision of a training on this device."""
        return torch.autocast(self.device, dtype=torch.bfloat16) if self.bf16 else nullcontext()

    def finished(self, step: Callable[[], None]) -> Call:
        """`step`, and then wait for the device."""

        def call() -> None:
            step()
            if self.device == "cuda":
                torch.cuda.synchronize()

        return call

    def candidates(self) -> list[Candidate]:
        """The floor, every term of the catalogue, IDD's own together, and what two of them replace."""
        idd = {name: term for name, term in METHODS["idd-published"].items() if name not in APART}
        return [
            Candidate(FLOOR, self.floor),
            *(Candidate(name, lambda name=name: self.terms(default(name))) for name in measured_terms()),
            Candidate(COMPOSED, self.composed),
            Candidate(IDD, lambda: self.terms(idd)),
            Candidate(TOKENS, lambda: self.tokens(class_tokens)),
            Candidate(DENSE, lambda: self.tokens(dense_tokens)),
        ]

    def floor(self) -> Call:
        """Teacher forward, student forward and backward from all its maps, on `floor_batch` images."""
        teacher, student = self.net(self.size.teacher).eval().requires_grad_(False), self.net(self.size.student)
        images_NCHW = torch.randn(self.floor_batch, 3, *self.size.crop_px, device=self.device)
        images_NCHW = images_NCHW.contiguous(memory_format=torch.channels_last)

        def step() -> None:
            with self.autocast():
                with torch.no_grad():
                    teacher(images_NCHW)
                maps = list(student(images_NCHW).values())
            torch.autograd.backward(maps, [torch.ones_like(map_NChw) for map_NChw in maps])
            student.zero_grad(set_to_none=True)

        return self.finished(step)

    def terms(self, configs: Mapping[str, TermConfig]) -> Call:
        """Forward and backward of terms down to the student's maps, and of their critics; no optimiser."""
        readout = PositionNet(self.teacher_shapes["pyramid"].channels, PositionConfig().hidden)
        terms = DistillationTerms(configs, self.student_shapes, self.teacher_shapes, readout)
        terms.to(device=self.device, memory_format=torch.channels_last).train()
        critics = Critics(terms).to(device=self.device, memory_format=torch.channels_last) if terms.critics else None
        weights = {name: term.weight for name, term in configs.items()}

        def step() -> None:
            with self.autocast():
                total = terms.total(terms(self.student, self.teacher, self.labels_NHW), weights)
            total.backward()
            if critics is not None:
                with self.autocast():
                    loss, _ = critics(terms.critics_read(self.student, self.teacher))
                loss.backward()
                critics.zero_grad(set_to_none=True)
            terms.zero_grad(set_to_none=True)
            self.forget()

        return self.finished(step)

    def composed(self) -> Call:
        """The supervised term from torch's own operators, which hold the upsampled logits of the whole batch."""

        def step() -> None:
            upsampled_NCHW = F.interpolate(
                self.student["logits"].float(), size=self.size.crop_px, mode="bilinear", align_corners=True
            )
            F.cross_entropy(upsampled_NCHW, self.labels_NHW.long(), ignore_index=255).backward()
            self.forget()

        return self.finished(step)

    def tokens(self, tokens_of: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]) -> Call:
        """Class tokens of the teacher's and the student's `pyramid`, forward and backward of both."""
        maps = self.student["pyramid"], self.teacher["pyramid"].detach().clone().requires_grad_()
        labels_Nhw = labels_on_grid(self.labels_NHW, maps[1].shape[-2:])

        def step() -> None:
            tokens = [tokens_of(map_NDhw, labels_Nhw, self.size.classes)[0] for map_NDhw in maps]
            torch.autograd.backward(tokens, [torch.ones_like(each) for each in tokens])
            maps[1].grad = None
            self.forget()

        return self.finished(step)

    def forget(self) -> None:
        """Drop the gradients of the student's maps, as the next step of a training would have new maps."""
        for map_NChw in self.student.values():
            map_NChw.grad = None


def default(name: str) -> dict[str, TermConfig]:
    """A term alone, under the settings that the catalogue gives it."""
    return resolve("custom", {name: {"weight": 1.0}})


def measured_terms() -> tuple[str, ...]:
    """Every term of the catalogue; the auxiliary one is the supervised one on another map."""
    return tuple(name for name in KINDS if name != "auxiliary")


def dense_tokens(map_NDhw: Tensor, labels_Nhw: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """`class_tokens` as public code writes it: for each class a mask N x D x h x w, multiplied and summed."""
    map_NDhw = at_least_fp32(map_NDhw)
    tokens, present = [], []
    for label in range(classes):
        mask_NDhw = (labels_Nhw == label).to(map_NDhw.dtype)[:, None].expand_as(map_NDhw).contiguous()
        counts_ND = mask_NDhw.sum(dim=(2, 3))
        tokens.append((mask_NDhw * map_NDhw).sum(dim=(2, 3)) / counts_ND.clamp(min=1))
        present.append(counts_ND[:, 0] > 0)
    return torch.stack(tokens, dim=1), torch.stack(present, dim=1)
