"""The steps of stage `export.tensorrt`: which files, one engine, its golden check."""

import importlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from export.deploy.build_engine import Options, build_engine
from export.deploy.engine_file import description_of, write_engine
from export.deploy.golden import check_golden
from export.deploy.gpu import Gpu
from export.forms import FOR_TENSORRT, stem
from export.golden import golden_labels, min_agreement, render_golden
from export.runtimes.tensorrt_runtime import TensorRTRuntime
from export.sidecar import read_sidecar
from export.tensorrt import TIMING_CACHE, Config
from pipeline.errors import NetworkError, ParityError
from pipeline.stage import Context
from stages.preprocess import Preprocess

Golden = tuple[np.ndarray, np.ndarray]
"""The golden picture (uint8 1 x H x W x 3) and what the fp32 file makes of it (uint8 1 x H x W)."""


def golden_of(exported: Path) -> Golden:
    """The golden picture and its labels; NetworkError where the fp32 logits were not exported."""
    path = find_onnx(exported, f"{stem('fp32', 'logits')}.onnx")
    images_NHWC = render_golden(Preprocess.from_json(read_sidecar(path)["preprocess"]))
    return images_NHWC, golden_labels(path, images_NHWC)


def sources(exported: Path, config: Config) -> list[Path]:
    """The ONNX files to build from; NetworkError naming one that was asked for and is not there."""
    if config.forms is not None:
        return [find_onnx(exported, f"{stem(form, o)}.onnx") for form in config.forms for o in config.outputs]
    names = (f"{stem(form, output)}.onnx" for form in FOR_TENSORRT for output in config.outputs)
    return [exported / name for name in names if (exported / name).is_file()]


def find_onnx(exported: Path, name: str) -> Path:
    """The exported file; NetworkError where `export.onnx` published none."""
    path = exported / name
    if not path.is_file():
        raise NetworkError(f"export.onnx published no {name}; see its export.onnx.forms, outputs and parity table")
    return path


def build_one(ctx: Context, onnx: Path, golden: Golden, config: Config, gpu: Gpu) -> Path:
    """Build one engine into the work folder, with the timings of those before it, and hold it to the golden picture.

    ParityError where it is off: then its files are removed.
    """
    trt = importlib.import_module("tensorrt")
    source = read_sidecar(onnx)
    options = Options(
        source["form"],
        config.workspace_mib,
        config.batch,
        config.version_compatible,
        config.hardware_compatible,
        config.dla_core,
    )
    cache = ctx.scratch / TIMING_CACHE
    ctx.log(f"building {onnx.name}; this takes minutes")
    engine = build_engine(trt, onnx.read_bytes(), options, cache.read_bytes() if cache.exists() else b"", ctx.log)
    for folder in (ctx.scratch, ctx.work):
        (folder / TIMING_CACHE).write_bytes(engine.timing_cache)
    plan = ctx.work / f"{onnx.stem}.plan"
    kept = {name: source[name] for name in ("form", "preprocess", "classes", "student_sha256")}
    tied_to = {"tensorrt": trt.__version__, "gpu": asdict(gpu), "options": asdict(options)}
    write_engine(plan, engine, {"onnx": {"file": onnx.name, "sha256": source["sha256"]}, **tied_to, **kept})
    try:
        share = check(plan, onnx, golden, source)
    except ParityError:
        for path in (plan, description_of(plan), plan.with_suffix(".layers.json")):
            path.unlink()
        raise
    ctx.log(f"{plan.name}: golden labels agree on {share:.4f} of the pixels")
    return plan


def check(plan: Path, onnx: Path, golden: Golden, source: Mapping[str, Any]) -> float:
    """Share of the golden picture's pixels on which the engine says what the fp32 file says."""
    images_NHWC, labels_NHW = golden
    needed = min_agreement(source["form"], onnx, images_NHWC, labels_NHW)
    with TensorRTRuntime(plan) as runtime:
        return check_golden(images_NHWC, labels_NHW, runtime, plan.name, needed)
