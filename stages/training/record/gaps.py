"""The two gaps that IDD speaks of, measured on a student before and after its training: class distances and position.

Position is read as the loss reads it, by the frozen network through the student's adapter, which exists only as long as
the student is trained: so this looks from inside the training, and what it finds lies in the student's artifact.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pipeline.gaps.pictures import draw_distances, draw_positions
from pipeline.gaps.report import AXES, BEFORE, GAPS, TEACHER, TITLES, panels, standings, verdicts
from pipeline.stage import Context
from stages.datasets.index import Index, Sample, images_root
from stages.datasets.layout import SPLITS
from stages.datasets.pixels import read_fitted
from stages.datasets.spread import spread
from stages.losses.maps import resize
from stages.losses.methods import KINDS, TermConfig
from stages.losses.unit_distance import unit_distance
from stages.training.record.distance_graph import DIGITS, DistanceGraph

if TYPE_CHECKING:
    from stages.losses.terms import DistillationTerms
    from stages.training.student import NetWithTerms

Maps = Mapping[str, Tensor]
DRAWN_IMAGES = 3
DEFAULT_TAP = "pyramid"
PICTURES = ("class_distances.png", "position_maps.png")


class PositionGap:
    """Distance of the student's position masks to the teacher's, and the masks of the first few images."""

    def __init__(self) -> None:
        self.distances: list[list[float]] = []
        self.masks: list[tuple[Tensor, Tensor]] = []

    def add(self, student_12hw: Tensor, teacher_12hw: Tensor) -> None:
        """Count an image's masks, 1 x 2 x h x w in (0, 1): rows of HOR and columns of VER as unit vectors, eq. 5."""
        rows_1h = unit_distance(student_12hw[:, 0], teacher_12hw[:, 0])
        columns_1w = unit_distance(student_12hw[:, 1].mT, teacher_12hw[:, 1].mT)
        self.distances.append([float(rows_1h.mean()), float(columns_1w.mean())])
        if len(self.masks) < DRAWN_IMAGES:
            self.masks.append((student_12hw[0].cpu(), teacher_12hw[0].cpu()))

    def to_json(self) -> dict[str, float]:
        """Mean over images by axis."""
        means = torch.tensor(self.distances, dtype=torch.float64).mean(dim=0).tolist()
        return {axis: round(mean, DIGITS) for axis, mean in zip(AXES, means, strict=True)}


class Gaps:
    """Looks at a student before and after its training, on a few images, and at its teacher where it has one."""

    def __init__(
        self, ctx: Context, data: Path, index: Index, split: str, count: int, terms: Mapping[str, TermConfig]
    ) -> None:
        self.ctx = ctx
        self.index = index
        self.root = images_root(data, index, ctx.settings)
        self.split = split
        self.samples = spread(index.samples(split), count)
        ctx.log(
            f"class distances and position: read on {len(self.samples)} images of {split} before and after training"
        )
        self.tap = next((term.tap for term in terms.values() if term.kind == "inter_class"), DEFAULT_TAP)
        self.graphs: dict[str, dict[str, DistanceGraph]] = {}
        """By tap and by who was looked at."""
        self.position: dict[str, PositionGap] = {}

    @torch.no_grad()
    def look(self, when: str, module: NetWithTerms, teacher: Callable[[Tensor], Maps] | None) -> None:
        """Measure the student inside `module`; weights, buffers and random state stay as they are."""
        module.eval()
        for sample in self.samples:
            images_1HWC, labels_1HW = self.read(sample)
            student_maps = module.net(module.normalise(images_1HWC))
            self.add_graphs(when, student_maps, student_maps, labels_1HW)
            if teacher:
                teacher_maps = teacher(images_1HWC)
                if when == BEFORE:
                    self.add_graphs(TEACHER, teacher_maps, student_maps, labels_1HW)
                self.add_position(when, module.terms, student_maps, teacher_maps)

    def read(self, sample: Sample) -> tuple[Tensor, Tensor]:
        """Image 1 x H x W x 3 and labels 1 x H x W, uint8, on the device."""
        image_HWC, labels_HW = read_fitted(self.root, sample, self.index)
        image, labels = (torch.from_numpy(array)[None].to(self.ctx.device) for array in (image_HWC, labels_HW))
        return image, labels

    def add_graphs(self, who: str, maps: Maps, like: Maps, labels_1HW: Tensor) -> None:
        """Count one image's maps at every tap that `like` has too."""
        for tap in maps.keys() & like.keys():
            graphs = self.graphs.setdefault(tap, {})
            graphs.setdefault(who, DistanceGraph(len(self.index.classes))).add(maps[tap].float(), labels_1HW)

    def add_position(self, when: str, terms: DistillationTerms, student_maps: Maps, teacher_maps: Maps) -> None:
        """Count one image's position masks, where the method has that term."""
        name = next((name for name, term in terms.configs.items() if KINDS[term.kind].position), None)
        if name is None:
            return
        tap, net = terms.configs[name].tap, terms.parts[name].net
        teacher_map = teacher_maps[tap].float()
        student_map = resize(student_maps[tap].float(), teacher_map.shape[-2:])
        adapter = dict(terms.adapters.items()).get(name)
        self.position.setdefault(when, PositionGap()).add(net(student_map, adapter), net(teacher_map))

    def write(self) -> tuple[str, ...]:
        """Write gaps.json and its pictures into the artifact; returns their names."""
        found = self.to_json()
        (self.ctx.work / GAPS).write_text(json.dumps(found) + "\n", encoding="utf-8")
        distances, positions = (self.ctx.work / name for name in PICTURES)
        draw_distances(distances, found["classes"], panels(found))
        for line in verdicts(standings(found)):
            self.ctx.log(f"{line}, on {len(self.samples)} images of {self.split}")
        if not self.position:
            return GAPS, distances.name
        draw_positions(positions, found["images"], self.masks())
        return GAPS, distances.name, positions.name

    def masks(self) -> dict[str, list[Any]]:
        """Position masks of the first few images, 2 x h x w each, by who was read."""
        students = {TITLES[when]: [student.numpy() for student, _ in gap.masks] for when, gap in self.position.items()}
        return {TEACHER: [teacher.numpy() for _, teacher in self.position[BEFORE].masks], **students}

    def to_json(self) -> dict[str, Any]:
        """gaps.json as plain values."""
        return {
            "split": self.split,
            "images": [sample.image for sample in self.samples],
            "classes": [c.name for c in self.index.classes],
            "inter_class": {
                "tap": self.tap if self.tap in self.graphs else "logits",
                "graphs": {
                    tap: {who: graph.to_json() for who, graph in graphs.items()}
                    for tap, graphs in sorted(self.graphs.items())
                },
            },
            "position": {when: gap.to_json() for when, gap in self.position.items()} or None,
        }


def gaps_of(ctx: Context, data: Path, index: Index, config: Any, terms: Mapping[str, TermConfig]) -> Gaps | None:
    """What looks at a student as its config says; None where no image is to be looked at."""
    split = next((split for split in reversed(SPLITS) if split in config.evaluate and index.labelled(split)), None)
    return Gaps(ctx, data, index, split, config.gap_images, terms) if split and config.gap_images else None
