"""Stage `export.tensorrt`: an engine from each ONNX form, built on and for the GPU of this machine."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import Field

from export.forms import Form, Output, stem
from export.sidecar import read_sidecar, write_sidecar
from pipeline.errors import NetworkError
from pipeline.stage import Context, Outputs, StageConfig

VERSION = 1
ENVIRONMENT = ("gpu", "gpu_name", "tensorrt", "driver")
"""Facts of the machine to which an engine is tied."""

SERVED = ((10, 3), (12, 0))
"""Versions of TensorRT that the build serves: from the first up to, not including, the second."""
TIMING_CACHE = "timing.cache"


class Config(StageConfig):
    """Part `[export.tensorrt]` of a recipe."""

    forms: tuple[Form, ...] = Field(("fp32",), min_length=1)
    """Precisions to build; each must be among those of `export.onnx`."""
    outputs: tuple[Output, ...] = Field(("labels", "logits"), min_length=1)
    """Which outputs to build engines for."""
    workspace_mib: int = Field(1024, ge=1)
    """Largest scratch memory that a layer may use."""
    batch: tuple[int, int, int] = (1, 1, 4)
    """Smallest, most usual and largest batch, where `export.onnx` leaves the batch dynamic."""


def needs(config: Config) -> tuple[str, ...]:
    """The ONNX forms."""
    return ("export.onnx",)


def code(config: Config) -> tuple[str, ...]:
    """Nothing that the config chooses."""
    return ()


def available(facts: Mapping[str, Any]) -> str | None:
    """Why no engine can be built on this machine, by its facts `gpu` and `tensorrt`, or None."""
    if not facts["gpu"]:
        return "no NVIDIA GPU, build it on the target"
    version = facts["tensorrt"]
    if version is None:
        return 'tensorrt is not installed; in the clone run .venv/bin/pip install -e ".[tensorrt]"'
    major, minor = (int(part) for part in version.split(".")[:2])
    if not SERVED[0] <= (major, minor) < SERVED[1]:
        return f"tensorrt {version} is installed, engines are built with 10.3 or later, before 12"
    return None


def run(ctx: Context, inputs: Mapping[str, Path], config: Config) -> Outputs:
    """Publish a plan file with its sidecar and its layers for every form and output."""
    import tensorrt

    from export.deploy.build_engine import BuildError, Options
    from export.deploy.gpu import GpuError, describe_gpu

    sizes = {}
    try:
        gpu = describe_gpu()
        ctx.log(f"TensorRT {tensorrt.__version__} on {gpu.name}, compute capability {gpu.compute_capability}")
        for form in config.forms:
            options = Options(form, config.workspace_mib, config.batch)
            for output in config.outputs:
                onnx = find_onnx(inputs["export.onnx"], form, output)
                plan = build_one(ctx, tensorrt, onnx, options, gpu)
                sizes[f"{form} {output} MiB"] = round(plan.stat().st_size / (1 << 20), 1)
    except (BuildError, GpuError) as error:
        raise NetworkError(f"no engine: {error}") from error
    return Outputs(summary={"gpu": gpu.name, **sizes}, volatile=(TIMING_CACHE,))


def find_onnx(folder: Path, form: Form, output: Output) -> Path:
    """The exported file; NetworkError where `export.onnx` made none."""
    path = folder / f"{stem(form, output)}.onnx"
    if not path.is_file():
        raise NetworkError(
            f"export.onnx made no {path.name}; add it there with export.onnx.forms and export.onnx.outputs"
        )
    return path


def build_one(ctx: Context, trt: Any, onnx: Path, options: Any, gpu: Any) -> Path:
    """Build one engine into the work folder, with the timings of those before it."""
    from export.deploy.build_engine import build_engine

    cache = ctx.scratch / TIMING_CACHE
    timings = cache.read_bytes() if cache.exists() else b""
    ctx.log(f"building {onnx.name}; this takes minutes")
    engine = build_engine(trt, onnx.read_bytes(), options, timings, ctx.log)
    for folder in (ctx.scratch, ctx.work):
        (folder / TIMING_CACHE).write_bytes(engine.timing_cache)
    plan = ctx.work / f"{onnx.stem}.plan"
    plan.write_bytes(engine.plan)
    layers = plan.with_suffix(".layers.json")
    layers.write_text(json.dumps(engine.inspector, indent=1) + "\n", encoding="utf-8")
    source = read_sidecar(onnx)
    kept = {name: source[name] for name in ("preprocess", "classes", "student_sha256")}
    write_sidecar(
        plan,
        {
            "onnx": {"file": onnx.name, "sha256": source["sha256"]},
            "tensorrt": trt.__version__,
            "gpu": asdict(gpu),
            "options": asdict(options),
            **engine.tensors,
            "tensor_types": engine.tensor_types,
            **kept,
        },
    )
    return plan
