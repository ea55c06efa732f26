"""The weighted terms of a method, bound to the taps and widths of one student and one teacher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from pipeline.errors import TrainingError
from pipeline.nearest import nearest
from stages.losses.channel_wise import channel_wise
from stages.losses.inter_class import inter_class
from stages.losses.maps import resize
from stages.losses.methods import KINDS, TermConfig, needs_position
from stages.losses.pair_wise import pair_wise
from stages.losses.pixel_wise import pixel_wise
from stages.losses.position import position
from stages.losses.supervised import supervised
from stages.nets.position import PositionNet

Maps = Mapping[str, Tensor]
Widths = Mapping[str, int]

GRID_ROUNDING = 1
"""Cells by which two grids of one image may differ, e.g. 64x128 under 65x129."""


class DistillationTerms(nn.Module):
    """Computes each term of a method; owns the 1x1 adapters, which are trained with the student and never shipped.

    `student_channels` and `teacher_channels` are widths by tap name. The position network is frozen here and moves
    with the module. A student without an auxiliary head goes without the auxiliary term; `describe` says so.
    TrainingError for a tap that either side lacks, and for widths that cannot be compared.
    """

    def __init__(
        self,
        terms: Mapping[str, TermConfig],
        student_channels: Widths,
        teacher_channels: Widths,
        position_net: PositionNet | None = None,
        student_has_aux: bool = True,
    ) -> None:
        super().__init__()
        self.configs = {n: t for n, t in terms.items() if n != "auxiliary" or student_has_aux}
        self.dropped = tuple(name for name in terms if name not in self.configs)
        self.classes = student_channels["logits"]
        self.position_net = None
        if needs_position(self.configs):
            self.position_net = frozen(position_net, teacher_channels, self.configs["position"].tap)
        self.adapters = nn.ModuleDict()
        for name, term in self.configs.items():
            if KINDS[name].teacher:
                check_taps(name, term.tap, student_channels, teacher_channels)
                adapter = make_adapter(name, term.tap, student_channels[term.tap], teacher_channels[term.tap])
                if adapter is not None:
                    self.adapters[name] = adapter

    def describe(self) -> Iterator[str]:
        """One line a term: weight, reduction, tap, and what else is set of it."""
        for name, term in self.configs.items():
            options = "".join(f", {option} {getattr(term, option)}" for option in KINDS[name].options)
            adapter = ", through a 1x1 adapter" if name in self.adapters else ""
            yield (f"term {name}: weight {term.weight:g}, reduction {term.reduction}, tap {term.tap}{options}{adapter}")
        for name in self.dropped:
            yield f"term {name}: left out, the student has no auxiliary head"

    def forward(self, student: Maps, teacher: Maps | None, labels_NHW: Tensor) -> dict[str, Tensor]:
        """Unweighted scalar of each term.

        Maps N x C x h x w by tap name, labels N x H x W with 255 = ignore. A student's map on another grid is
        resized to the teacher's: logits always, features only where the grids differ by rounding (TrainingError
        otherwise).
        """
        return {name: self._value(name, t, student, teacher, labels_NHW) for name, t in self.configs.items()}

    def total(self, values: Mapping[str, Tensor]) -> Tensor:
        """Weighted sum of the terms' values."""
        return torch.stack([self.configs[name].weight * value for name, value in values.items()]).sum()

    def _value(self, name: str, term: TermConfig, student: Maps, teacher: Maps | None, labels_NHW: Tensor) -> Tensor:
        if not KINDS[name].teacher:
            return supervised(student[term.tap], labels_NHW)
        assert teacher is not None
        teacher_map = teacher[term.tap]
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
                return inter_class(student_map, teacher_map, labels_NHW, self.classes, term.reduction, term.label_grid)
            case "position":
                assert self.position_net is not None
                return position(self.position_net(student_map), self.position_net(teacher_map), term.reduction)
        raise AssertionError(name)


def frozen(net: PositionNet | None, teacher_channels: Widths, tap: str) -> PositionNet:
    """The position network in eval mode without gradients; TrainingError where it was made for another width."""
    if net is None:
        raise TrainingError("term position needs a position network: run stage position first")
    if tap in teacher_channels and net.channels != teacher_channels[tap]:
        raise TrainingError(
            f"term position: the position network reads {net.channels} channels, the teacher's tap {tap!r} has "
            f"{teacher_channels[tap]}: give position.tap and distill.terms.position.tap one name"
        )
    return net.eval().requires_grad_(False)


def check_taps(name: str, tap: str, student: Widths, teacher: Widths) -> None:
    """TrainingError where either network lacks the tap, with the nearest names."""
    for owner, widths in (("student", student), ("teacher", teacher)):
        if tap not in widths:
            raise TrainingError(f"distill.terms.{name}.tap: the {owner} has no tap {tap!r}: {nearest(tap, widths)}")


def make_adapter(name: str, tap: str, student_width: int, teacher_width: int) -> nn.Conv2d | None:
    """The 1x1 convolution from the student's width to the teacher's, where the term compares channel by channel.

    TrainingError for logits over another number of classes: mapping them onto the teacher's would hide the mistake.
    """
    if name == "position":
        # Also at equal widths: the position network knows the teacher's channels, not the student's.
        return nn.Conv2d(student_width, teacher_width, 1, bias=False)
    if name not in ("pixel_wise", "channel_wise") or student_width == teacher_width:
        return None
    if tap == "logits":
        raise TrainingError(
            f"term {name}: the student's logits have {student_width} classes, the teacher's {teacher_width}: "
            "train both on one data set"
        )
    return nn.Conv2d(student_width, teacher_width, 1, bias=False)


def on_grid_of(teacher_map: Tensor, student_map: Tensor, name: str, any_grid: bool) -> Tensor:
    """The student's map on the teacher's grid; TrainingError where features differ by more than rounding."""
    wanted, given = teacher_map.shape[-2:], student_map.shape[-2:]
    if not any_grid and any(abs(a - b) > GRID_ROUNDING for a, b in zip(wanted, given, strict=True)):
        raise TrainingError(
            f"term {name}: the student's map is {given[0]}x{given[1]}, the teacher's {wanted[0]}x{wanted[1]}: "
            "choose taps of one output stride"
        )
    return resize(student_map, wanted)
