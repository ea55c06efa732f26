"""The steps of stage `export.onnx`: write the files, compare them with torch, describe them, refuse."""

import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from export.card import model_card
from export.forms import stem
from export.gate import Pictures, compare, pictures
from export.onnx import Config
from export.onnx_graph import export_logits, file_description, labels_from_logits, serialise
from export.parity import Comparison, faults, summary
from export.runtimes.onnx_runtime import OnnxRuntime
from export.runtimes.torch_runtime import TorchRuntime
from export.sidecar import write_sidecar
from export.student import Student
from pipeline.errors import ParityError
from pipeline.stage import Context
from stages.datasets.index import read_index

MIB = 1 << 20
DYNAMIC_PARITY_BATCH = 2
"""Images a call while the gate checks a file with an open batch; one alone would not show a fixed batch."""

Sidecar = dict[str, Any]


def gate_pictures(ctx: Context, data: Path, student: Student, config: Config) -> tuple[Pictures, Pictures]:
    """Pictures whose outputs are compared, and those that the mIoU is taken over; DataError where there are none."""
    index, split, pre = read_index(data), config.parity_split, student.preprocess
    few = pictures(ctx, data, index, split, pre, config.parity_images)
    return few, pictures(ctx, data, index, split, pre, config.miou_images)


def write_forms(ctx: Context, student: Student, config: Config) -> list[Sidecar]:
    """Write an ONNX file and its sidecar for each output, all from one export; returns the sidecars."""
    logits = export_logits(student.deployed("logits"), student.size_px, config.batch, config.opset)
    sidecars = []
    for form in config.forms:
        for output in config.outputs:
            model = logits if output == "logits" else labels_from_logits(logits)
            path = ctx.work / f"{stem(form, output)}.onnx"
            path.write_bytes(serialise(model, student.description()))
            sidecar = write_sidecar(path, {"form": form, **file_description(model), **student.description()})
            ctx.log(f"{path.name}: {sidecar['nodes']} nodes, {sidecar['bytes'] / MIB:.1f} MiB")
            sidecars.append(sidecar)
    return sidecars


def check_forms(
    ctx: Context, student: Student, sidecars: Sequence[Sidecar], few: Pictures, many: Pictures, config: Config
) -> list[Comparison]:
    """Hold every file against torch, as `gate_pictures` says; writes parity.json and metrics.json.

    Both run on the CPU, whatever the device: there both compute in full fp32, alike on every machine.
    """
    batch = DYNAMIC_PARITY_BATCH if config.batch == "dynamic" else config.batch
    with ExitStack() as stack:
        reference = stack.enter_context(TorchRuntime(student.deployed("logits"), student.spec, student.size_px))
        names = [sidecar["file"] for sidecar in sidecars]
        exported = {name: stack.enter_context(OnnxRuntime(ctx.work / name)) for name in names}
        comparisons, scores = compare(ctx, reference, exported, few, many, batch)
    for each in comparisons:
        ctx.log(summary(each))
    files = [each.to_json() for each in comparisons]
    parity = {"split": many.split, "limits": config.fp32.model_dump(), "files": files}
    (ctx.work / "parity.json").write_text(json.dumps(parity, indent=1) + "\n", encoding="utf-8")
    (ctx.work / "metrics.json").write_text(json.dumps({many.split: scores}, indent=1) + "\n", encoding="utf-8")
    return comparisons


def write_documents(
    ctx: Context,
    student_folder: Path,
    student: Student,
    sidecars: Sequence[Sidecar],
    comparisons: Sequence[Comparison],
    config: Config,
) -> None:
    """The student's contract files, and the card."""
    for name in ("preprocess.json", "labels.json"):
        shutil.copyfile(student_folder / name, ctx.work / name)
    card = model_card(student, sidecars, comparisons, config.parity_split)
    (ctx.work / "README.md").write_text(card, encoding="utf-8")


def enforce(comparisons: Sequence[Comparison], config: Config) -> None:
    """ParityError that names every file past its limits, with the numbers."""
    off = {each.file: found for each in comparisons if (found := faults(each, config.fp32))}
    if off:
        said = "; ".join(f"{file}: {', '.join(found)}" for file, found in off.items())
        raise ParityError(f"{said}; nothing is published: mend the export, or raise [export.onnx.fp32]")
