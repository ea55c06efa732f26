"""The weighted terms of a method, bound to the taps and widths of one student and one teacher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from pipeline.errors import TrainingError
from pipeline.nearest import nearest
from stages.losses.channel_wise import channel_wise
from stages.losses.inter_class import inter_class
from stages.losses.methods import KINDS, TermConfig
from stages.losses.pair_wise import pair_wise
from stages.losses.pixel_wise import pixel_wise
from stages.losses.position import position
from stages.losses.supervised import resize, supervised

Maps = Mapping[str, Tensor]

SAME_WIDTH = ("pixel_wise", "channel_wise", "position")
"""Terms that compare channel by channel: a student of another width goes through a 1x1 adapter."""
GRID_ROUNDING = 1
"""Cells by which two grids of one image may differ, e.g. 64x128 under 65x129."""


class DistillationTerms(nn.Module):
    """Computes each term of a method; owns the 1x1 adapters, which are trained with the student and never shipped."""

    def __init__(
        self,
        terms: Mapping[str, TermConfig],
        student_channels: Mapping[str, int],
        teacher_channels: Mapping[str, int],
        position_net: nn.Module | None = None,
        student_has_aux: bool = True,
    ) -> None:
        super().__init__()
        self.configs = {n: t for n, t in terms.items() if n != "auxiliary" or student_has_aux}
        self.dropped = tuple(name for name in terms if name not in self.configs)
        self.classes = student_channels["logits"]
        self.adapters = nn.ModuleDict()
        # Kept out of the module's children: it is frozen, and no checkpoint shall carry it.
        self._position_net = (position_net,)
        for name, term in self.configs.items():
            if KINDS[name].teacher:
                self._bind(name, term, student_channels, teacher_channels)

    def _bind(self, name: str, term: TermConfig, student: Mapping[str, int], teacher: Mapping[str, int]) -> None:
        for owner, taps in (("student", student), ("teacher", teacher)):
            if term.tap not in taps:
                raise TrainingError(
                    f"distill.terms.{name}.tap: the {owner} has no tap {term.tap!r}: {nearest(term.tap, taps)}"
                )
        if KINDS[name].position and self._position_net[0] is None:
            raise TrainingError(f"term {name} needs a position network: run stage position first")
        if name == "position" or (name in SAME_WIDTH and student[term.tap] != teacher[term.tap]):
            self.adapters[name] = nn.Conv2d(student[term.tap], teacher[term.tap], 1, bias=False)

    def describe(self) -> Iterator[str]:
        """One line a term: weight, reduction, tap."""
        for name, term in self.configs.items():
            adapter = ", through a 1x1 adapter" if name in self.adapters else ""
            yield f"term {name}: weight {term.weight:g}, reduction {term.reduction}, tap {term.tap}{adapter}"
        for name in self.dropped:
            yield f"term {name}: left out, the student has no auxiliary head"

    def forward(self, student: Maps, teacher: Maps | None, labels_NHW: Tensor) -> dict[str, Tensor]:
        """Unweighted scalar of each term.

        Maps N x C x h x w by tap name, labels N x H x W with 255 = ignore. A student map on a grid that differs by
        rounding is resized to the teacher's.
        """
        return {name: self._value(name, t, student, teacher, labels_NHW) for name, t in self.configs.items()}

    def total(self, values: Mapping[str, Tensor]) -> Tensor:
        """Weighted sum of the terms' values."""
        return torch.stack([self.configs[name].weight * value for name, value in values.items()]).sum()

    def _value(
        self, name: str, term: TermConfig, student: Maps, teacher: Maps | None, labels_NHW: Tensor
    ) -> Tensor:
        if not KINDS[name].teacher:
            return supervised(student[term.tap], labels_NHW)
        assert teacher is not None
        teacher_map = teacher[term.tap].detach()
        student_map = on_grid_of(teacher_map, student[term.tap], name, any_grid=term.tap == "logits")
        if name in self.adapters:
            student_map = self.adapters[name](student_map)
        match name:
            case "pixel_wise":
                return pixel_wise(student_map, teacher_map, term.reduction, term.temperature)
            case "pair_wise":
                return pair_wise(student_map, teacher_map)
            case "channel_wise":
                return channel_wise(student_map, teacher_map, term.temperature)
            case "inter_class":
                return inter_class(student_map, teacher_map, labels_NHW, self.classes, term.reduction)
            case "position":
                net = self._position_net[0]
                return position(net(student_map), net(teacher_map), term.reduction)
        raise AssertionError(name)


def on_grid_of(teacher_map: Tensor, student_map: Tensor, name: str, any_grid: bool) -> Tensor:
    """The student's map on the teacher's grid; TrainingError where features differ by more than rounding."""
    wanted, given = teacher_map.shape[-2:], student_map.shape[-2:]
    if not any_grid and any(abs(a - b) > GRID_ROUNDING for a, b in zip(wanted, given, strict=True)):
        raise TrainingError(
            f"term {name}: the student's map is {given[0]}x{given[1]}, the teacher's {wanted[0]}x{wanted[1]}: "
            "choose taps of one output stride"
        )
    return resize(student_map, wanted)
