"""Stage `export.tensorrt`: an engine from each ONNX form, built on and for the GPU of this machine."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from export.forms import Output
from pipeline.errors import NetworkError, PipelineError
from pipeline.stage import Context, Outputs, StageConfig

VERSION = 1
ENVIRONMENT = ("gpu", "gpu_name", "tensorrt", "driver", "power_mode")
"""Facts of the machine to which an engine is tied; its tactics are those that were quickest in one power mode."""

SERVED = ((10, 3), (12, 0))
"""Versions of TensorRT that the build serves: from the first up to, not including, the second."""
TIMING_CACHE = "timing.cache"
MIB = 1 << 20


class Config(StageConfig):
    """Part `[export.tensorrt]` of a recipe."""

    forms: tuple[Literal["fp32", "fp16", "int8-tensorrt"], ...] | None = None
    """Precisions to build; absent for every one that `export.onnx` published and TensorRT reads."""
    outputs: tuple[Output, ...] = Field(("labels", "logits"), min_length=1)
    """Which outputs to build engines for."""
    workspace_mib: int = Field(1024, ge=1)
    """Largest scratch memory that a layer may use."""
    batch: tuple[int, int, int] = (1, 1, 4)
    """Smallest, most usual and largest batch, where `export.onnx` leaves the batch dynamic."""
    version_compatible: bool = False
    """Whether later TensorRT of the same major version may load the engines."""
    hardware_compatible: bool = False
    """Whether other GPUs from Ampere on may run the engines."""
    dla_core: int | None = Field(None, ge=0)
    """Deep learning accelerator to build for, with the GPU for what it cannot."""


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
    """Publish a plan file with its description and its layers for every form and output, each held to a golden picture.

    A form that TensorRT does not build, or whose engine is off, fails by name; the others are still made.
    """
    from export.deploy.build_engine import BuildError
    from export.deploy.gpu import GpuError, describe_gpu
    from export.engines import build_one, golden_of, sources

    import_module("tensorrt")
    try:
        gpu = describe_gpu()
    except GpuError as error:
        raise NetworkError(f"no engine: {error}") from error
    golden = golden_of(inputs["export.onnx"])
    sizes: dict[str, float] = {}
    failures = []
    for onnx in sources(inputs["export.onnx"], config):
        try:
            plan = build_one(ctx, onnx, golden, config, gpu)
            sizes[f"{plan.stem} MiB"] = round(plan.stat().st_size / MIB, 1)
        except (BuildError, PipelineError) as error:
            failures.append(f"{onnx.name}: {error}")
    if not sizes:
        raise NetworkError(f"no engine: {'; '.join(failures)}")
    return Outputs(summary={"gpu": gpu.name, **sizes}, failures=tuple(failures), volatile=(TIMING_CACHE,))
