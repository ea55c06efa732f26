"""Every form's graph, all from one export: as it is, in fp16, and quantised for each target."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from export.calibration import Ranges, measure
from export.calibration_config import CALIBRATION_SPLIT, HALF_IMAGES, CalibrationConfig
from export.forms import INT8, Form
from export.gate import Pictures, fill, pictures
from export.half import to_half
from export.int8 import CALIBRATED, CPU, TENSORRT, quantise
from export.onnx import Config
from export.onnx_graph import export_logits
from export.sensitivity import keep_float
from export.student import Student
from pipeline.errors import DataError
from pipeline.stage import Context
from stages.datasets.index import Index


@dataclass(frozen=True)
class Graph:
    """A form's graph that gives logits, and what its sidecar says of how it was made."""

    model: onnx.ModelProto
    notes: dict[str, Any] = field(default_factory=dict)


class Maker:
    """Makes the forms of one student; what several of them need is made once."""

    def __init__(self, ctx: Context, data: Any, index: Index, student: Student, config: Config) -> None:
        self.ctx, self.data, self.index, self.student, self.config = ctx, data, index, student, config
        self.fp32 = export_logits(student.deployed("logits"), student.size_px, config.batch, config.opset)
        self.half: Graph | None = None
        self.ranges: Ranges | None = None

    def make(self, form: Form) -> Graph:
        """The graph of a form."""
        if form == "fp32":
            return Graph(self.fp32)
        return self.int8(form) if form in INT8 else self.fp16()

    def fp16(self) -> Graph:
        """The graph in half precision; what would overflow on training images stays in fp32."""
        if self.half is None:
            ranges = self.calibrate(CalibrationConfig(images=HALF_IMAGES), None, "ranges for fp16")
            model, kept = to_half(self.fp32, ranges)
            self.half = Graph(model, {"kept_in_fp32": kept})
        return self.half

    def int8(self, form: Form) -> Graph:
        """The graph quantised for a target, its most sensitive layers left out where the recipe asks for that."""
        if self.ranges is None:
            self.ranges = self.calibrate(self.config.calibration, CALIBRATED, "calibration for int8")
        ranges, target = self.ranges, TENSORRT if form == "int8-tensorrt" else CPU
        base = self.fp16() if target is TENSORRT else Graph(self.fp32)
        always = base.notes.get("kept_in_fp32", [])

        def quantised(excluded: list[str]) -> onnx.ModelProto:
            return quantise(base.model, ranges.bounds, target, [*always, *excluded], self.config.reduce_range)

        notes = {
            "calibration": {name: value for name, value in ranges.to_json().items() if name != "bounds"},
            "reduce_range": self.config.reduce_range,
            **base.notes,
        }
        if not self.config.sensitivity_minutes:
            return Graph(quantised([]), notes)
        part = self.pictures(self.config.calibration.images)
        excluded, search = keep_float(self.ctx, quantised, self.fp32, part, self.config, form)
        return Graph(quantised(excluded), notes | {"sensitivity": search})

    def pictures(self, wanted: int) -> Pictures:
        """Training images as the deployed preprocessing gives them."""
        part = pictures(self.ctx, self.data, self.index, CALIBRATION_SPLIT, self.student.preprocess, wanted)
        return part

    def calibrate(self, config: CalibrationConfig, operators: tuple[str, ...] | None, title: str) -> Ranges:
        """The ranges of the fp32 graph's tensors on training images."""
        part = self.pictures(config.images)
        with self.ctx.progress(title, len(part), 0) as bar:
            found = measure(self.fp32, self.batches(part), config, operators, lambda n: bar.step(n, {}))
        self.ctx.log(f"{title}: {config.method} over {len(found)} tensors on {len(part)} training images")
        return Ranges(config.method, len(part), part.sha256(), found)

    def batches(self, part: Pictures) -> Iterator[np.ndarray]:
        """The part's images, each batch of the size that the graph takes."""
        fixed = 1 if self.config.batch == "dynamic" else self.config.batch
        return (fill(images_NHWC, fixed) for images_NHWC in part.batches(fixed))


def check_classes(index: Index, student: Student) -> None:
    """DataError where data and student count other classes: ranges and scores would be of another network."""
    ours, theirs = [c["name"] for c in student.classes], [c.name for c in index.classes]
    if ours != theirs:
        raise DataError(
            f"the student knows the classes {', '.join(ours)}, the data {', '.join(theirs)}: "
            "export with the data set on which the student was trained"
        )
