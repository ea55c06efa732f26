"""Stage `export.onnx`: the student as ONNX files, published once they agree with torch on real images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from export.forms import Form, Output
from export.limits import Limits
from pipeline.stage import Context, Outputs, StageConfig

VERSION = 1


class Config(StageConfig):
    """Part `[export.onnx]` of a recipe."""

    opset: int = Field(19, ge=18, le=20)
    """ONNX operator set; 19 is the first in which quantised and fp16 graphs mix, 20 the last that TensorRT 10.3
    reads. All three fit IR version 10, the newest that older boards read."""
    forms: tuple[Form, ...] = Field(("fp32",), min_length=1)
    """Precisions to export."""
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
    fp32: Limits = Limits(max_logit_error=1e-3, max_miou_delta_points=0.01, max_violations=0)
    """What the fp32 files may be off by."""


def needs(config: Config) -> tuple[str, ...]:
    """The images to compare on, and the student."""
    return ("data", "distill")


def code(config: Config) -> tuple[str, ...]:
    """Nothing that this config chooses: the network's module is chosen, and counted, by `distill`."""
    return ()


def run(ctx: Context, inputs: Mapping[str, Path], config: Config) -> Outputs:
    """Write the files with their sidecars, compare each with torch, and fail by name where one is off."""
    from export.onnx_files import check_forms, enforce, gate_pictures, write_documents, write_forms
    from export.student import load_student

    student = load_student(inputs["distill"])
    few, many = gate_pictures(ctx, inputs["data"], student, config)
    sidecars = write_forms(ctx, student, config)
    comparisons = check_forms(ctx, student, sidecars, few, many, config)
    write_documents(ctx, inputs["distill"], student, sidecars, comparisons, config)
    enforce(comparisons, config)
    errors = [each.errors.max_abs for each in comparisons if each.errors]
    figures: dict[str, float | int | str] = {
        f"{config.parity_split} mIoU": comparisons[0].miou_exported,
        "files": len(sidecars),
        "label violations": sum(each.agreement.violations for each in comparisons),
    }
    return Outputs(summary=figures | ({"max logit error": max(errors)} if errors else {}))
