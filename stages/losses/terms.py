"""The weighted terms of a method, bound to the maps of one student and one teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from importlib import import_module

import torch
from torch import Tensor, nn

from stages.losses.binding import Bound, Seen, Setting
from stages.losses.fit import LOGITS, Shapes, check_grids, make_adapter, shape_at
from stages.losses.maps import resize
from stages.losses.methods import KINDS, TermConfig
from stages.losses.watch import Watch

Maps = Mapping[str, Tensor]
Pairs = dict[str, tuple[Tensor, Tensor]]


class DistillationTerms(nn.Module):
    """Computes each term of a method; owns the 1x1 adapters, which are trained with the student and never shipped.

    `student` and `teacher` are shapes of one crop's maps by tap name. A student without an auxiliary head goes without
    the auxiliary term; `describe` says so. What learns against the student stands in `critics`, and its parameters are
    none of this module's. TrainingError for a tap that either side lacks, and for maps that cannot be compared.
    """

    def __init__(
        self,
        terms: Mapping[str, TermConfig],
        student: Shapes,
        teacher: Shapes,
        position_net: nn.Module | None = None,
        student_has_aux: bool = True,
    ) -> None:
        super().__init__()
        self.configs = {n: t for n, t in terms.items() if t.kind != "auxiliary" or student_has_aux}
        self.dropped = tuple(name for name in terms if name not in self.configs)
        self.shapes = student, teacher
        self.adapters = nn.ModuleDict()
        self.parts = nn.ModuleDict()
        self.bound: dict[str, Bound] = {}
        self.watch: Watch | None = None
        """Takes notes of the steps in which it is set."""
        # By name, so that the order in which a recipe lists its terms changes neither random numbers nor sums.
        for name in sorted(self.configs):
            self.bound[name] = bound = self._bind(name, self.configs[name], position_net)
            if isinstance(bound.value, nn.Module):
                self.parts[name] = bound.value
        self.critics = {name: bound.critic for name, bound in self.bound.items() if bound.critic is not None}

    def _bind(self, name: str, term: TermConfig, position_net: nn.Module | None) -> Bound:
        student_shapes, teacher_shapes = self.shapes
        classes, kind = student_shapes[LOGITS].channels, KINDS[term.kind]
        build: Callable[[TermConfig, Setting], Bound] = import_module(kind.module).build
        if not kind.teacher:
            return build(term, Setting(classes))
        student = shape_at(name, term.tap, student_shapes, "student")
        teacher = shape_at(name, term.tap, teacher_shapes, "teacher")
        check_grids(name, term.tap, student, teacher)
        adapter = make_adapter(name, term, student, teacher)
        if adapter is not None:
            self.adapters[name] = adapter
        return build(term, Setting(classes, teacher, position_net))

    def describe(self) -> Iterator[str]:
        """One line a term: weight x reduction, tap, what else is set of it, its adapter, and whether it resizes."""
        for name, term in self.configs.items():
            yield ", ".join([f"term {name}: {term.weight:g} x {term.reduction}, tap {term.tap}", *self._notes(name)])
        for name in self.dropped:
            yield f"term {name}: left out, the student has no auxiliary head"

    def _notes(self, name: str) -> Iterator[str]:
        term, note = self.configs[name], self.bound[name].note
        if term.kind != name:
            yield f"kind {term.kind}"
        for option, value in term.options.items():
            yield f"{option} {value:g}" if isinstance(value, float) else f"{option} {value}"
        if term.ramp is not None:
            yield f"weight rises from {term.ramp[0]:.0%} to {term.ramp[1]:.0%} of the iterations"
        if name in self.adapters:
            adapter = self.adapters[name]
            yield f"student through a 1x1 adapter {adapter.in_channels} -> {adapter.out_channels}"
        if KINDS[term.kind].teacher:
            student, teacher = (shapes[term.tap] for shapes in self.shapes)
            if student.grid != teacher.grid:
                yield f"student's {student.grid} resized to the teacher's {teacher.grid}, bilinear, corners aligned"
        if note:
            yield note

    def forward(self, student: Maps, teacher: Maps | None, labels_NHW: Tensor) -> dict[str, Tensor]:
        """Unweighted scalar of each term; maps N x C x h x w by tap name, labels N x H x W with 255 = ignore."""
        on_grid = self._on_teachers_grid(student, teacher) if teacher else {}
        values = {}
        for name, term in self.configs.items():
            with self.watch.lap(name, labels_NHW) if self.watch else nullcontext():
                if KINDS[term.kind].teacher:
                    assert teacher is not None
                    seen = self._both(name, on_grid, teacher, labels_NHW)
                else:
                    seen = Seen(student[term.tap], None, labels_NHW)
                values[name] = self.bound[name].value(seen)
        if self.watch:
            self.watch.maps, self.watch.values = student, values
        return values

    def total(self, values: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
        """Weighted sum of the terms' values."""
        return torch.stack([weights[name] * values[name] for name in sorted(values)]).sum()

    def critics_read(self, student: Maps, teacher: Maps | None) -> Pairs:
        """The maps from which each critic learns in this step, without a graph."""
        pairs: Pairs = {}
        for name in self.critics:
            assert teacher is not None
            tap = self.configs[name].tap
            pairs[name] = resize(student[tap].detach(), teacher[tap].shape[-2:]), teacher[tap]
        return pairs

    def _on_teachers_grid(self, student: Maps, teacher: Maps) -> Maps:
        """Every compared map of the student once, resized where the grids differ."""
        taps = dict.fromkeys(term.tap for term in self.configs.values() if KINDS[term.kind].teacher)
        return {tap: resize(student[tap], teacher[tap].shape[-2:]) for tap in taps}

    def _both(self, name: str, on_grid: Maps, teacher: Maps, labels_NHW: Tensor) -> Seen:
        """What a term reads that compares; the student's map goes through the adapter unless the term sees to it."""
        tap = self.configs[name].tap
        if name not in self.adapters:
            return Seen(on_grid[tap], teacher[tap], labels_NHW)
        adapter = self.adapters[name]
        if self.bound[name].adapts:
            return Seen(on_grid[tap], teacher[tap], labels_NHW, adapter)
        return Seen(adapter(on_grid[tap]), teacher[tap], labels_NHW)
