"""The parts of a report from the artifacts of the stages before: read, counted, measured."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.candidates import Bench, Entry, entries
from bench.complexity import complexity
from bench.environment import describe
from bench.latency import Row, Schedule, measure, paired_ratio, skipped, steps
from bench.memory import MemoryUnknown, measure_peak
from bench.peaks import measure_roof
from bench.report.reading import SCHEMA_VERSION
from bench.roofline import shares
from bench.stage import Config
from bench.watch import Watch
from export.deploy.engine_file import description_of
from export.sidecar import sha256
from pipeline.errors import DataError
from pipeline.stage import Context
from stages.datasets.index import Index, images_root, read_index
from stages.datasets.pixels import read_fitted_image
from stages.nets.catalogue import NetSpec
from stages.nets.saved import CONFIG, MODEL

Inputs = Mapping[str, Path]

STAGE_OF = {"teacher": "teacher", "baseline": "baseline", "student": "distill"}
"""Role in a report -> stage whose artifact plays it."""
COUNTED = ("teacher", "student")
IMAGE_SPLITS = ("test", "val", "train")
"""Where the measured image is taken from: the first of these that has any."""


def read_json(path: Path) -> Any:
    """A JSON file of an artifact."""
    return json.loads(path.read_text(encoding="utf-8"))


def report_data(
    inputs: Inputs, costs: Mapping[str, Any], environment: Mapping[str, Any], latency: Mapping[str, Any]
) -> dict[str, Any]:
    """report.json: the given parts and what the artifacts say, in the form of `bench.report.markdown`."""
    index = read_index(inputs["data"])
    accuracy = {role: read_json(folder / "metrics.json") for role, folder in folders(inputs).items()}
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "bench",
        "data": {
            "name": index.name,
            "classes": [label.name for label in index.classes],
            "size_px": list(index.size_px),
            "split": quoted_split(accuracy["student"]),
        },
        "models": {role: model(folder) for role, folder in folders(inputs).items()},
        "accuracy": accuracy,
        "complexity": costs,
        "latency": latency,
        "parity": read_json(inputs["export.onnx"] / "parity.json"),
        "environment": environment,
        "engines": built_engines(inputs),
        "provenance": provenance(inputs),
    }


def built_engines(inputs: Inputs) -> list[dict[str, Any]]:
    """Description of each TensorRT engine, which names the GPU that it was built on; empty where none was built."""
    if "export.tensorrt" not in inputs:
        return []
    return [read_json(description_of(plan)) for plan in sorted(inputs["export.tensorrt"].glob("*.plan"))]


def folders(inputs: Inputs) -> dict[str, Path]:
    """Artifacts of trained networks by role."""
    return {role: inputs[stage] for role, stage in STAGE_OF.items() if stage in inputs}


def quoted_split(metrics: Mapping[str, Any]) -> str:
    """The split that a summary quotes: test where it is labelled, otherwise val."""
    return "test" if "test" in metrics else "val"


def model(folder: Path) -> dict[str, Any]:
    """Name and arguments of a trained network, and the identity of its weights."""
    spec = NetSpec.from_json(read_json(folder / CONFIG))
    return {"net": spec.net, "args": dict(spec.args), "files": {MODEL: sha256(folder / MODEL)}}


def provenance(inputs: Inputs) -> dict[str, Any]:
    """Which artifact of each stage, and the identity of each exported file."""
    exported = sorted(inputs["export.onnx"].glob("*.onnx"))
    return {
        "artifacts": {stage: {"key": folder.parent.name, "digest": folder.name} for stage, folder in inputs.items()},
        "files": {path.name: sha256(path) for path in exported},
    }


def count_costs(inputs: Inputs) -> dict[str, Any]:
    """`bench.complexity.complexity` of teacher and student at the size of the data, by role.

    The networks are built anew: the student's artifact lacks the auxiliary head that one convention counts.
    """
    size_px = read_index(inputs["data"]).size_px
    costs = {}
    for role in COUNTED:
        spec = NetSpec.from_json(read_json(folders(inputs)[role] / CONFIG))
        costs[role] = complexity(spec.net, spec.classes, size_px, spec.args)
    return costs


def measure_latency(ctx: Context, inputs: Inputs, config: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    """What it is measured on, and the latency of every candidate with the ratios: (environment, latency)."""
    threads = config.threads or torch.get_num_threads()
    environment = describe(threads)
    watch = Watch(ctx.device)
    image, image_HWC = real_image(ctx, inputs["data"])
    images_NHWC = np.repeat(image_HWC[None], config.batch, axis=0)
    schedule = Schedule(config.warmup_s, config.min_s, config.max_s, repeats=config.repeats)
    with ExitStack() as open_runtimes:
        bench = Bench(images_NHWC, ctx.device, threads, open_runtimes)
        found = entries(inputs, config.runtimes, bench)
        rows = take_turns(ctx, found, schedule, watch)
        environment |= watch.to_json()
        table = described(inputs, found, rows, config.batch, watch)
        if config.peak_memory:
            add_peaks(ctx, found, table)
    settings = {**asdict(schedule), "batch": config.batch, "device": ctx.device, "image": image}
    latency = {
        "settings": settings,
        "rows": [
            *table,
            *(engine_row(name, why) for name, why in engines(inputs)),
        ],
        "ratios": ratios(found, rows),
    }
    return environment, latency


def real_image(ctx: Context, data: Path) -> tuple[str, np.ndarray]:
    """Path and pixels (uint8 H x W x 3 RGB) of the first image of the data, as the networks see it."""
    index: Index = read_index(data)
    for split in IMAGE_SPLITS:
        for sample in index.samples(split)[:1]:
            root = images_root(data, index, ctx.settings)
            return sample.image, read_fitted_image(root, sample, index.preprocess)
    raise DataError(f"{index.name} has no images to measure with; check the stage data")


def take_turns(ctx: Context, found: Sequence[Entry], schedule: Schedule, watch: Watch) -> list[Row]:
    """Measures the candidates under a progress bar and logs each row."""
    with ctx.progress("bench", steps(len(found), schedule), 0) as bar:
        candidates = [entry.candidate for entry in found]
        rows = measure(candidates, schedule, on_done=lambda step: bar.step(0, {}), during=watch.turn)
    for row in rows:
        ctx.log(f"{row.name}: {f'p50 {np.median(row.samples_ms):.2f} ms' if row.status == 'ok' else row.why}")
    return rows


def described(
    inputs: Inputs, found: Sequence[Entry], rows: Sequence[Row], batch: int, watch: Watch
) -> list[dict[str, Any]]:
    """Rows as plain data, each with the mIoU of the very file that was measured and the energy of its turns."""
    table = []
    for entry, row in zip(found, rows, strict=True):
        told = row.to_json(batch)
        table.append({**told, **entry.to_json(), **accuracy_of(inputs, entry), "energy_j": watch.energy_j(told, batch)})
    return table


def add_peaks(ctx: Context, found: Sequence[Entry], table: Sequence[dict[str, Any]]) -> None:
    """Peak memory of every row that was measured, after all of them: a process beside a turn would disturb it."""
    with ctx.progress("peak memory", len(found), 0) as bar:
        for entry, row in zip(found, table, strict=True):
            try:
                row["peak_mib"] = measure_peak(entry.alone) if row["status"] == "ok" else None
            except MemoryUnknown as error:
                row["peak_mib"] = None
                row["warnings"].append(f"peak memory not measured: {error}")
            bar.step(0, {})


def measure_roofline(
    ctx: Context, costs: Mapping[str, Any], latency: Mapping[str, Any], environment: Mapping[str, Any]
) -> dict[str, Any] | None:
    """This machine's peaks, after the candidates and with their threads, and each row's share of what is attainable.

    None where they cannot be measured, as on a GPU without room for the matrices: the report stands without them.
    """
    try:
        roof = measure_roof(ctx.device, environment["cpu"]["threads"])
    except (RuntimeError, MemoryError) as error:
        ctx.log(f"roofline not measured: {error}")
        return None
    return {**roof.to_json(), "models": shares(roof, latency["rows"], costs, latency["settings"]["batch"])}


def accuracy_of(inputs: Inputs, entry: Entry) -> dict[str, Any]:
    """mIoU of a candidate's file, and on how many images; None where it was not scored."""
    if entry.runtime == "torch":
        metrics = read_json(folders(inputs)[entry.role] / "metrics.json")
        scores = metrics.get(quoted_split(metrics), {})
    else:
        export = inputs["export.onnx"]
        split = read_json(export / "parity.json")["split"]
        scores = read_json(export / "metrics.json")[split].get(entry.file, {})
    return {"miou": scores.get("miou"), "miou_images": scores.get("images")}


def engines(inputs: Inputs) -> list[tuple[str, str]]:
    """Name of each TensorRT engine, and why it has no figures."""
    if "export.tensorrt" not in inputs:
        return [("student tensorrt", "export.tensorrt was skipped: build the engine on the target")]
    return [
        (f"{path.stem} tensorrt", f"not timed by this stage: trtexec --loadEngine={path.name} does")
        for path in sorted(inputs["export.tensorrt"].glob("*.plan"))
    ]


def engine_row(name: str, why: str) -> dict[str, Any]:
    """A skipped row in the form of the measured ones."""
    entry = {"role": "student", "runtime": "tensorrt", "file": None, "output": None}
    return {**skipped(name, why).to_json(), **entry, "miou": None, "miou_images": None}


def ratios(found: Sequence[Entry], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """How much faster a candidate is than one before it, in pairs from the rounds that they shared.

    The two differ in the network or in the runtime, never in both: a ratio has one cause.
    """
    measured = [(entry, row) for entry, row in zip(found, rows, strict=True) if row.status == "ok"]
    return [
        asdict(paired_ratio(above, below))
        for (one, above), (other, below) in combinations(measured, 2)
        if (one.role == other.role) != (one.runtime == other.runtime)
    ]
