"""Stage `export.onnx`: the student as ONNX files, published once they agree with torch on real images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from export.calibration_config import CalibrationConfig
from export.forms import FORMS, INT8, Form, Output
from export.limits import Limits
from pipeline.errors import DataError
from pipeline.stage import Context, Outputs, StageConfig

VERSION = 1
FIRST_OPSET_WITH_HALF_SCALES = 19


class Config(StageConfig):
    """Part `[export.onnx]` of a recipe."""

    opset: int = Field(19, ge=18, le=20)
    """ONNX operator set; 19 is the first in which quantised and fp16 graphs mix, 20 the last that TensorRT 10.3
    reads. All three fit IR version 10, the newest that older boards read."""
    forms: tuple[Form, ...] = Field(FORMS, min_length=1)
    """Precisions to export; fp32 must be among them, the others are held against it."""
    outputs: tuple[Output, ...] = Field(("labels", "logits"), min_length=1)
    """A file for each precision and output."""
    batch: Annotated[int, Field(ge=1)] | Literal["dynamic"] = 1
    """Images a call; `dynamic` leaves it open."""
    parity_split: Literal["train", "val", "test"] = "test"
    """Split whose images pass through every file."""
    parity_images: int = Field(8, ge=1)
    """How many of them, spread evenly, are compared pixel by pixel."""
    miou_images: int | None = Field(None, ge=1)
    """How many of them the mIoU is taken over; all where absent."""
    calibration: CalibrationConfig = CalibrationConfig()
    """How the ranges of the int8 forms are found."""
    reduce_range: bool = False
    """`int8-cpu` for CPUs without VNNI: weights of seven bits, since unsigned-by-signed products saturate there."""
    sensitivity_minutes: float = Field(0.0, ge=0)
    """Longest search, for each int8 form, for the layers that must stay in floating point so that `max_miou_drop` is
    kept; 0 leaves none out."""
    max_miou_drop: float = Field(1.0, ge=0)
    """Percentage points of mIoU that an int8 form may lose."""
    fp32: Limits = Limits(max_logit_error=1e-3, max_miou_change=0.01, max_violations=0)
    """What the fp32 files may be off by."""
    fp16: Limits = Limits(max_miou_change=0.1, min_agreement=0.995)
    """What the fp16 files may be off by."""
    int8: Limits = Limits(min_agreement=0.9)
    """What the int8 files may be off by, beside `max_miou_drop`."""

    @model_validator(mode="after")
    def check_forms(self) -> Self:
        """ValueError where a form lacks what it is made from."""
        if "fp32" not in self.forms:
            raise ValueError("fp32 must be among forms: the others are made from it and held against it")
        if "int8-tensorrt" in self.forms and self.opset < FIRST_OPSET_WITH_HALF_SCALES:
            raise ValueError(f"int8-tensorrt needs opset {FIRST_OPSET_WITH_HALF_SCALES} or higher: it scales fp16")
        return self

    def limits(self, form: Form) -> Limits:
        """What the files of a form may be off by."""
        if form in INT8:
            return self.int8.model_copy(update={"max_miou_drop": self.max_miou_drop})
        return self.fp32 if form == "fp32" else self.fp16


def needs(config: Config) -> tuple[str, ...]:
    """The images to compare on, and the student."""
    return ("data", "distill")


def code(config: Config) -> tuple[str, ...]:
    """Nothing that this config chooses: the network's module is chosen, and counted, by `distill`."""
    return ()


def inspect(config: Config, inputs: Mapping[str, Path]) -> None:
    """DataError where the split to be compared on has no images with labels."""
    from stages.datasets.index import read_index

    index = read_index(inputs["data"]) if "data" in inputs else None
    if index and not index.labelled(config.parity_split):
        scored = ", ".join(filter(index.labelled, index.splits)) or "none"
        raise DataError(
            f"export.onnx.parity_split: split {config.parity_split} of {index.name} has no images with labels; "
            f"those that have: {scored}"
        )


def run(ctx: Context, inputs: Mapping[str, Path], config: Config) -> Outputs:
    """Write the files with their sidecars, compare each with torch, and withhold by name those that are off."""
    from export.onnx_files import check_forms, gate_pictures, write_documents, write_forms
    from export.student import load_student

    student = load_student(inputs["distill"])
    few, many = gate_pictures(ctx, inputs["data"], student, config)
    sidecars = write_forms(ctx, inputs["data"], student, config)
    comparisons, failures = check_forms(ctx, student, sidecars, few, many, config)
    write_documents(ctx, inputs["distill"], student, sidecars, comparisons, config)
    kept = [each for each in comparisons if each.file not in failures]
    figures: dict[str, float | int | str] = {
        f"{config.parity_split} mIoU": comparisons[0].miou_exported,
        "files": len(kept),
        "largest mIoU change": max((each.miou_delta_points for each in kept), key=abs),
    }
    return Outputs(summary=figures, failures=tuple(f"{file}: {why}" for file, why in failures.items()))
