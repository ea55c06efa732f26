"""The parts of a report from the artifacts of the stages before: read, counted, measured."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, replace
from functools import partial
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.candidates import INFERENCE, Bench, Entry, entries
from bench.complexity.count import complexity
from bench.machine.environment import describe
from bench.machine.memory import add_peak, measure_peak
from bench.machine.watch import Watch
from bench.place import place
from bench.report.reading import SCHEMA_VERSION
from bench.roofline.peaks import measure_roof
from bench.roofline.shares import shares
from bench.stage import Config
from bench.turns.gpu_times import GpuPart, gpu_part
from bench.turns.ratio import paired_ratio
from bench.turns.timing import Row, Schedule, measure, skipped, steps
from export.deploy.engine_file import description_of
from export.scored import labelled_splits
from export.sidecar import sha256
from pipeline.errors import DataError
from pipeline.facts import facts
from pipeline.stage import Context
from stages.datasets.index import Index, Sample, images_root, read_index
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
    split = quoted_split(accuracy["student"])
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "bench",
        "data": {
            "name": index.name,
            "classes": [label.name for label in index.classes],
            "size_px": list(index.size_px),
            "split": split,
            "pairs_sha256": labelled_splits(index).get(split, {}).get("pairs_sha256"),
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
    """`bench.complexity.count.complexity` of teacher and student at the size of the data, by role.

    The networks are built anew: the student's artifact lacks the auxiliary head that one convention counts.
    """
    size_px = read_index(inputs["data"]).size_px
    costs = {}
    for role in COUNTED:
        spec = NetSpec.from_json(read_json(folders(inputs)[role] / CONFIG))
        costs[role] = complexity(spec.net, spec.classes, size_px, spec.args)
    return costs


def measure_latency(ctx: Context, inputs: Inputs, config: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    """What it is measured on, and the latency of every candidate with the ratios: (environment, latency).

    `latency.more` has the tables of further batches and sizes, where the recipe asks for them.
    """
    threads = config.threads or torch.get_num_threads()
    environment = describe(threads)
    schedule = Schedule(config.warmup_s, config.min_s, config.max_s, repeats=config.repeats)
    watch = Watch(ctx.device, schedule)
    index, sample, root = real_image(ctx, inputs["data"])

    def measured(batch: int, size_px: tuple[int, int], whole_way: bool, watch: Watch | None = None) -> dict[str, Any]:
        preprocess = replace(index.preprocess, height=size_px[0], width=size_px[1])
        images_NHWC = np.repeat(read_fitted_image(root, sample, preprocess)[None], batch, axis=0)
        picture = root / sample.image if whole_way and batch == 1 else None
        with ExitStack() as stack:
            bench = Bench(images_NHWC, ctx.device, threads, stack, facts(ctx.device), picture, preprocess)
            found = entries(inputs, config.runtimes, config.compiled, bench)
            rows = take_turns(ctx, found, schedule, watch)
            table = described(inputs, found, rows, images_NHWC, watch)
            if watch and config.peak_memory:
                add_peaks(ctx, found, table)
            return {"rows": table, "ratios": ratios(found, rows)}

    latency = {
        "settings": {**asdict(schedule), "batch": config.batch, "device": ctx.device, "image": sample.image},
        **measured(config.batch, index.size_px, whole_way=True, watch=watch),
    }
    environment |= watch.to_json()
    more = [
        {"batch": batch, "size_px": list(size_px), **unscored(measured(batch, size_px, whole_way=False))}
        for batch, size_px in further(config, index.size_px)
    ]
    return environment, latency | ({"more": more} if more else {})


def further(config: Config, size_px: tuple[int, int]) -> list[tuple[int, tuple[int, int]]]:
    """Batch and size of each table beyond the first."""
    pairs = product(config.batches or (config.batch,), config.sizes or (size_px,))
    return [pair for pair in dict.fromkeys(pairs) if pair != (config.batch, size_px)]


def unscored(latency: Mapping[str, Any]) -> dict[str, Any]:
    """A table without accuracies: they belong to the size at which the files were scored."""
    nothing = {"miou": None, "miou_images": None}
    return {**latency, "rows": [row | nothing for row in latency["rows"]]}


def real_image(ctx: Context, data: Path) -> tuple[Index, Sample, Path]:
    """The data's index, its first image, and the folder below which that lies."""
    index: Index = read_index(data)
    for split in IMAGE_SPLITS:
        for sample in index.samples(split)[:1]:
            return index, sample, images_root(data, index, ctx.settings)
    raise DataError(f"{index.name} has no images to measure with; check the stage data")


def take_turns(ctx: Context, found: Sequence[Entry], schedule: Schedule, watch: Watch | None) -> list[Row]:
    """Measures the entries that have a candidate under a progress bar and logs each; a row for each entry."""
    candidates = [entry.candidate for entry in found if entry.candidate]
    during, long_turn = (watch.turn, watch.long_turn) if watch else (nullcontext, None)
    with ctx.progress("bench", steps(len(candidates), schedule, long_turn), 0) as bar:
        taken = measure(candidates, schedule, on_done=lambda step: bar.step(0, {}), during=during, long_turn=long_turn)
    measured = iter(taken)
    rows = [next(measured) if entry.candidate else skipped(entry.name, entry.why) for entry in found]
    for row in rows:
        ctx.log(f"{row.name}: {f'p50 {np.median(row.samples_ms):.2f} ms' if row.status == 'ok' else row.why}")
    return rows


def described(
    inputs: Inputs, found: Sequence[Entry], rows: Sequence[Row], images_NHWC: np.ndarray, watch: Watch | None
) -> list[dict[str, Any]]:
    """Rows as plain data, each with the mIoU of the very file that was measured and the energy of its turns."""
    table = []
    for entry, row in zip(found, rows, strict=True):
        batch = len(images_NHWC)
        plain = row.to_json(batch)
        opened = entry.opened if row.status == "ok" and entry.quantity == INFERENCE else None
        part = gpu_part(opened, images_NHWC) if opened else GpuPart()
        plain["warnings"] += part.warnings
        plain |= {"energy_j": watch.energy_j(plain, batch, place(entry.runtime, watch.device))} if watch else {}
        if entry.quantity != INFERENCE:
            # The network was loaded once, for the inference.
            plain["load_ms"] = None
        table.append({**plain, **part.times, **entry.to_json(), **accuracy_of(inputs, entry)})
    return table


def add_peaks(ctx: Context, found: Sequence[Entry], table: Sequence[dict[str, Any]]) -> None:
    """Peak memory of every row that can be opened alone, after all turns: a process beside a turn would disturb it."""
    asked = [
        (entry.alone, row) for entry, row in zip(found, table, strict=True) if entry.alone and row["status"] == "ok"
    ]
    with ctx.progress("peak memory", len(asked), 0) as bar:
        for alone, row in asked:
            add_peak(row, partial(measure_peak, alone))
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
    """mIoU of a candidate's file, and on how many images; None where it was not scored in that runtime."""
    scores: Mapping[str, Any] = {}
    if entry.runtime in ("torch", "torch-compiled"):
        metrics = read_json(folders(inputs)[entry.role] / "metrics.json")
        scores = metrics.get(quoted_split(metrics), {})
    elif entry.runtime == "onnxruntime":
        export = inputs["export.onnx"]
        split = read_json(export / "parity.json")["split"]
        scores = read_json(export / "metrics.json")[split].get(entry.file, {})
    return {"miou": scores.get("miou"), "miou_images": scores.get("images")}


def ratios(found: Sequence[Entry], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """How much faster a candidate is than one before it, in pairs from the rounds that they shared.

    The two differ in the network or in the runtime, never in both: a ratio has one cause.
    """
    measured = [(entry, row) for entry, row in zip(found, rows, strict=True) if row.status == "ok"]
    return [
        asdict(paired_ratio(above, below))
        for (one, above), (other, below) in combinations(measured, 2)
        if one.quantity == other.quantity and (one.role == other.role) != (one.runtime == other.runtime)
    ]
