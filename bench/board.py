"""`python benchmark.py`: latency of every file of this bundle on this machine, as one report.json.

Three quantities, named apart: `compute` is the engine alone between two events on the GPU, `inference` takes pictures
in host memory and gives results there, `pipeline` reads the picture's file, fits it, infers and brings the labels back
to the picture's size.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine.environment import describe
from bench.machine.memory import Request, add_peak, measure_peak
from bench.machine.watch import Watch
from bench.turns.gpu_times import GpuPart, gpu_part
from bench.turns.opened import Opened
from bench.turns.ratio import paired_ratio
from bench.turns.timing import Call, Candidate, Row, Schedule, measure
from export.deploy.choose import ENGINES, engine_path, open_runtime, program, say
from export.deploy.engine_file import description_of
from export.deploy.evaluate import ACCURACY, read_accuracy
from export.deploy.infer import segment
from export.deploy.manifest import MANIFEST, Bundle, sha256
from export.deploy.pictures import read
from pipeline.errors import NetworkError

SCHEMA_VERSION = 1
QUANTITIES = ("inference", "pipeline")


@dataclass(frozen=True)
class Measured:
    """A file in a runtime."""

    form: str
    output: str
    runtime: str
    path: Path

    @property
    def name(self) -> str:
        """`student.fp16.labels tensorrt`: the file without its suffix, and the runtime."""
        return f"{self.path.stem} {self.runtime}"

    @property
    def device(self) -> str:
        """Where it computes: `cuda` for an engine, otherwise `cpu`."""
        return "cuda" if self.runtime == "tensorrt" else "cpu"

    def alone(self, shape: tuple[int, ...], threads: int | None) -> Request:
        """How a process of its own opens it, to measure memory: the GPU's for an engine, otherwise the host's."""
        opener, arguments = "export.runtimes.onnx_runtime:open_onnx", {"path": str(self.path), "threads": threads}
        if self.runtime == "tensorrt":
            opener, arguments = "export.runtimes.tensorrt_runtime:open_engine", {"path": str(self.path)}
        return Request(opener, arguments, shape, self.device)


def main(folder: Path) -> int:
    """The program, on the bundle in `folder`."""
    parser = argparse.ArgumentParser(description="Measure the latency of this bundle's files here.")
    parser.add_argument("--runtime", choices=("auto", "tensorrt", "onnxruntime"), default="auto")
    parser.add_argument("--form", action="append", help="which to measure; all where left out")
    parser.add_argument("--threads", type=int, help="CPU threads of onnxruntime")
    parser.add_argument("--min-s", type=float, default=3.0, help="shortest measurement of a file")
    parser.add_argument("--max-s", type=float, default=60.0, help="longest measurement of a file")
    parser.add_argument(
        "--no-memory", action="store_true", help="leave the peak memory out, which takes a process each"
    )
    parser.add_argument("--out", type=Path, default=Path("report.json"))
    return program(run, folder, parser)


def run(bundle: Bundle, options: argparse.Namespace) -> int:
    """Measure, write the report, and print where it lies as one JSON document."""
    if not 0 <= options.min_s <= options.max_s:
        raise NetworkError(f"--min-s {options.min_s:g} must be 0 or more, and at most --max-s {options.max_s:g}")
    if not options.out.resolve().parent.is_dir():
        raise NetworkError(f"no folder {options.out.resolve().parent} for the report: name another with --out")
    environment = describe(options.threads)
    found = files(bundle, options)
    schedule = Schedule(min_s=options.min_s, max_s=options.max_s)
    watch = Watch("cuda" if any(each.device == "cuda" for each in found) else "cpu", schedule)
    with ExitStack() as stack:
        opened = {
            each.name: Opened(partial(open_runtime, each.runtime, each.path, options.threads), stack) for each in found
        }
        candidates = [c for each in found for c in candidates_of(each, bundle, opened[each.name])]
        rows = measure(candidates, schedule, on_done=say, during=watch.turn, long_turn=watch.long_turn)
        environment |= watch.to_json()
        images_NHWC, _ = bundle.golden()
        on_gpu = {
            each.name: gpu_part(opened[each.name], images_NHWC)
            for each, row in zip(found, rows[:: len(QUANTITIES)], strict=True)
            if row.status == "ok"
        }
    table = described(bundle, found, rows, on_gpu, watch)
    if not options.no_memory:
        add_peaks(bundle, found, table, options.threads)
    settings = {**asdict(schedule), "batch": 1, "threads": options.threads}
    report = {
        "schema_version": SCHEMA_VERSION,
        "kind": "board",
        "bundle": {
            "manifest_sha256": sha256(bundle.folder / MANIFEST),
            "network": bundle.manifest["network"],
            "classes": [row["name"] for row in bundle.classes],
        },
        "environment": environment,
        "latency": {"settings": settings, "rows": table, "ratios": ratios(rows)},
        "engines": engines(bundle),
    }
    medians = {row.name: round(float(np.median(row.samples_ms)), 3) for row in rows if row.status == "ok"}
    for name, median_ms in medians.items():
        # Seen before a full disk can lose it.
        say(f"{name}: p50 {median_ms:g} ms")
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({"report": str(options.out), "p50_ms": medians}))
    return int(not medians)


def files(bundle: Bundle, options: argparse.Namespace) -> list[Measured]:
    """What is measured: engines that were built here, and ONNX files unless only engines were asked for."""
    found = []
    for entry in bundle.manifest["forms"]:
        if options.form and entry["form"] not in options.form:
            continue
        form, output = entry["form"], entry["output"]["name"]
        plan = engine_path(bundle, entry["file"])
        if options.runtime != "onnxruntime" and plan.is_file():
            found.append(Measured(form, output, "tensorrt", plan))
        if options.runtime != "tensorrt":
            found.append(Measured(form, output, "onnxruntime", bundle.folder / entry["file"]))
    if not found:
        raise NetworkError("nothing to measure: run python build_engine.py first, or name other forms")
    return found


def candidates_of(each: Measured, bundle: Bundle, opened: Opened) -> list[Candidate]:
    """One file as two candidates: inference alone, and the whole way from a picture's file to its labels."""
    images_NHWC, _ = bundle.golden()
    picture = bundle.folder / bundle.manifest["golden"]["image"]

    def inference() -> Call:
        opened()
        return lambda: opened().predict(images_NHWC)

    def pipeline() -> Call:
        opened()
        return lambda: segment(opened(), read(picture), bundle.preprocess)

    reload = opened.again if each.runtime == "onnxruntime" else None
    return [
        Candidate(f"{each.name} {QUANTITIES[0]}", inference, reload),
        Candidate(f"{each.name} {QUANTITIES[1]}", pipeline),
    ]


def add_peaks(bundle: Bundle, found: list[Measured], table: list[dict[str, Any]], threads: int | None) -> None:
    """Peak memory of each file that was measured, beside its inference; the runtimes are closed by now."""
    images_NHWC, _ = bundle.golden()
    for each, row in zip(found, table[:: len(QUANTITIES)], strict=True):
        if row["status"] != "ok":
            continue
        say(f"{each.name}: peak memory")
        add_peak(row, partial(measure_peak, each.alone(images_NHWC.shape, threads)))


def described(
    bundle: Bundle, found: list[Measured], rows: list[Row], on_gpu: dict[str, GpuPart], watch: Watch
) -> list[dict[str, Any]]:
    """Rows as plain data with the accuracy of the very file that was measured, or that it was not measured."""
    known = read_accuracy(bundle.folder / ACCURACY)
    table = []
    for each, pair in zip(found, zip(rows[::2], rows[1::2], strict=True), strict=True):
        digest = sha256(each.path)
        scored = known.get(digest)
        accuracy = accuracy_of(scored) if scored else None
        for quantity, row in zip(QUANTITIES, pair, strict=True):
            part = on_gpu.get(each.name, GpuPart())
            plain = row.to_json()
            plain["warnings"] += part.warnings if quantity == "inference" else []
            # The file was loaded once, for the inference.
            plain["load_ms"] = plain["load_ms"] if quantity == "inference" else None
            table.append(
                {
                    **plain,
                    "compute_ms": None,
                    **part.times,
                    "role": "student",
                    "quantity": quantity,
                    "form": each.form,
                    "output": each.output,
                    "runtime": each.runtime,
                    "file": each.path.name,
                    "sha256": digest,
                    "energy_j": watch.energy_j(plain, on=each.device),
                    "peak_mib": None,
                    "accuracy": accuracy or "accuracy of this file: not measured; run python evaluate.py",
                }
            )
    return table


def accuracy_of(scored: dict[str, Any]) -> dict[str, Any]:
    """What a row says of an entry of accuracy.json: mIoU, and of which pictures."""
    told = {name: scored.get(name) for name in ("data", "split", "pairs_sha256")}
    return {"miou": scored["miou"], "miou_images": scored["images"], **told}


def ratios(rows: list[Row]) -> list[dict[str, Any]]:
    """How much faster a file is than one before it, in pairs from the rounds that they shared."""
    inference = [row for row in rows[::2] if row.status == "ok"]
    return [asdict(paired_ratio(above, below)) for above, below in combinations(inference, 2)]


def engines(bundle: Bundle) -> list[dict[str, Any]]:
    """Every engine here with its description, what its layers are, and the timing cache it was built with."""
    folder = bundle.folder / ENGINES
    found = []
    for plan in sorted(folder.glob("*.plan")) if folder.is_dir() else []:
        layers = plan.with_suffix(".layers.json")
        timing = folder / "timing.cache"
        found.append(
            {
                **json.loads(description_of(plan).read_text(encoding="utf-8")),
                "layers": json.loads(layers.read_text(encoding="utf-8")) if layers.is_file() else None,
                "timing_cache_sha256": sha256(timing) if timing.is_file() else None,
            }
        )
    return found
