"""The steps of stage `export.onnx`: write the files, compare them with torch, describe them, refuse."""

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from export.card import model_card
from export.forms import FOR_TENSORRT, Form, Output, stem
from export.gate import Pictures, compare, pictures
from export.graphs import Graph, Maker, check_classes
from export.lint import lint
from export.onnx import Config
from export.onnx_graph import file_description, labels_from_logits, serialise
from export.parity import Comparison, faults, summary
from export.runtimes.onnx_runtime import OnnxRuntime
from export.runtimes.torch_runtime import TorchRuntime
from export.sidecar import sidecar_of, write_sidecar
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
    check_classes(index, student)
    few = pictures(ctx, data, index, split, pre, config.parity_images)
    return few, pictures(ctx, data, index, split, pre, config.miou_images)


def write_forms(ctx: Context, data: Path, student: Student, config: Config) -> list[Sidecar]:
    """Write an ONNX file and its sidecar for each form and output, all from one export; returns the sidecars."""
    maker = Maker(ctx, data, read_index(data), student, config)
    sidecars = []
    for form in config.forms:
        graph = maker.make(form)
        for output in config.outputs:
            sidecars.append(write_file(ctx, student, form, output, graph))
    if maker.ranges:
        calibration = json.dumps(maker.ranges.to_json(), indent=1) + "\n"
        (ctx.work / "calibration.json").write_text(calibration, encoding="utf-8")
    return sidecars


def write_file(ctx: Context, student: Student, form: Form, output: Output, graph: Graph) -> Sidecar:
    """Write one file and its sidecar; returns that."""
    model = graph.model if output == "logits" else labels_from_logits(graph.model)
    path = ctx.work / f"{stem(form, output)}.onnx"
    path.write_bytes(serialise(model, {"form": form, **student.description()}))
    description = {"form": form, **file_description(model), "made": graph.notes, **student.description()}
    if form in FOR_TENSORRT:
        description["tensorrt_lint"] = lint(model)
        for fault in description["tensorrt_lint"]:
            ctx.log(f"{path.name}: TensorRT will not read it: {fault}")
    sidecar = write_sidecar(path, description)
    ctx.log(f"{path.name}: {sidecar['nodes']} nodes, {sidecar['bytes'] / MIB:.1f} MiB")
    return sidecar


def check_forms(
    ctx: Context, student: Student, sidecars: Sequence[Sidecar], few: Pictures, many: Pictures, config: Config
) -> tuple[list[Comparison], dict[str, str]]:
    """Hold every file against torch, as `gate_pictures` says; writes parity.json and metrics.json.

    Returns the comparisons, and by file what is wrong with those that are off: they are removed. ParityError where
    an fp32 file is off, since then the graph is wrong. All run on the CPU, whatever the device: there torch computes
    in full fp32, alike on every machine.
    """
    batch = DYNAMIC_PARITY_BATCH if config.batch == "dynamic" else config.batch
    with ExitStack() as stack:
        reference = stack.enter_context(TorchRuntime(student.deployed("logits"), student.spec, student.size_px))
        names = [sidecar["file"] for sidecar in sidecars]
        exported = {name: stack.enter_context(OnnxRuntime(ctx.work / name)) for name in names}
        comparisons, scores = compare(ctx, reference, exported, few, many, batch)
    for each in comparisons:
        ctx.log(summary(each))
    forms = {sidecar["file"]: sidecar["form"] for sidecar in sidecars}
    failures = judge(comparisons, forms, config)
    for file, why in failures.items():
        ctx.log(f"{file} is withheld: {why}")
        withhold(ctx.work / file)
    limits = {form: config.limits(form).model_dump(exclude_none=True) for form in config.forms}
    files = [{"form": forms[c.file], **c.to_json(), "withheld": failures.get(c.file)} for c in comparisons]
    parity = {"split": many.split, "limits": limits, "files": files}
    (ctx.work / "parity.json").write_text(json.dumps(parity, indent=1) + "\n", encoding="utf-8")
    (ctx.work / "metrics.json").write_text(json.dumps({many.split: scores}, indent=1) + "\n", encoding="utf-8")
    return comparisons, failures


def judge(comparisons: Sequence[Comparison], forms: Mapping[str, Form], config: Config) -> dict[str, str]:
    """{file: every limit that it passes, with the numbers}; ParityError where an fp32 file passes one."""
    off = {c.file: ", ".join(found) for c in comparisons if (found := faults(c, config.limits(forms[c.file])))}
    wrong = [f"{file}: {why}" for file, why in off.items() if forms[file] == "fp32"]
    if wrong:
        raise ParityError(f"{'; '.join(wrong)}; nothing is published: mend the export, or raise [export.onnx.fp32]")
    return off


def withhold(path: Path) -> None:
    """Remove a file that must not ship, and its sidecar."""
    path.unlink()
    sidecar_of(path).unlink()


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
