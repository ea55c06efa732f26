"""Builds a TensorRT engine from an ONNX file, for TensorRT 10.3 up to, not including, 12.

Networks are strongly typed: precision is what the ONNX graph says, no builder flag sets it. The module
`tensorrt` is handed in as `trt`, so that this file loads without it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

MIB = 1 << 20

TYPE_WORDS = {
    "fp16": r"\b(Half|FP16)\b",
    "bf16": r"\b(BFloat16|BF16)\b",
    "fp8": r"\bFP8\w*",
    "int8": r"\b(Int8|INT8)\b",
    "fp32": r"\b(Float|FP32)\b",
}
"""How the engine inspector names types, e.g. `Half` or `Row major linear FP16 format`."""
REQUIRED = {"fp32": "fp32", "fp16": "fp16", "int8-tensorrt": "int8"}
"""Type that some tensors must have in an engine of a form."""
FORBIDDEN = {
    "fp32": ("fp16", "bf16", "fp8", "int8"),
    "fp16": ("bf16", "fp8", "int8"),
    "int8-tensorrt": ("bf16", "fp8"),
}
"""Types that no tensor may have in an engine of a form."""


class BuildError(Exception):
    """TensorRT refuses a graph, or built something else than was asked for."""


@dataclass(frozen=True)
class Options:
    """How to build."""

    precision: str
    """What the graph's types amount to: `fp32`, `fp16` or `int8-tensorrt`."""
    workspace_mib: int
    """Largest scratch memory that a layer may use."""
    batch: tuple[int, int, int]
    """Smallest, most usual and largest batch, for a graph whose batch is dynamic."""
    version_compatible: bool = False
    """Whether later TensorRT of the same major version may load the engine; it may be slower."""
    hardware_compatible: bool = False
    """Whether other GPUs from Ampere on may run the engine; it may be slower."""
    dla_core: int | None = None
    """Deep learning accelerator to run on, with the GPU for what it cannot; None for the GPU alone."""


@dataclass(frozen=True)
class Engine:
    """A built engine and what TensorRT says of it."""

    plan: bytes
    timing_cache: bytes
    inspector: Mapping[str, Any]
    tensors: Mapping[str, Mapping[str, Any]]
    """`input` and `output`: name, numpy dtype and shape, -1 for a dynamic batch."""
    tensor_types: Mapping[str, int]
    """How many of the layers' inputs and outputs have each type."""


def build_engine(trt: Any, onnx: bytes, options: Options, timing_cache: bytes, log: Callable[[str], None]) -> Engine:
    """Build for the GPU of this machine; BuildError with TensorRT's own words where it cannot.

    `timing_cache` is that of an earlier build on this machine, or empty; `log` receives TensorRT's warnings.
    """
    logger = make_logger(trt, log)
    try:
        builder = trt.Builder(logger)
    except TypeError as error:
        raise BuildError(f"TensorRT cannot start here: {logger.last_error} ({error})") from error
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parse(trt, network, logger, onnx)
    config = configure(trt, builder, network, options, log)
    attach_timing_cache(config, timing_cache, log)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BuildError(f"TensorRT built no engine: {logger.last_error}")
    cache = bytes(config.get_timing_cache().serialize())
    return inspect(trt, logger, bytes(plan), cache, options.precision)


def make_logger(trt: Any, log: Callable[[str], None]) -> Any:
    """A TensorRT logger that passes warnings on and keeps the last error for the exception's message."""

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last_error = "it gives no reason"

        def log(self, severity: Any, message: str) -> None:
            """TensorRT's call for each message."""
            if severity <= trt.ILogger.Severity.ERROR:
                self.last_error = " ".join(message.split())
            if severity <= trt.ILogger.Severity.WARNING:
                log(f"TensorRT: {message}")

    return Logger()


def parse(trt: Any, network: Any, logger: Any, onnx: bytes) -> None:
    """Fill `network` from the bytes of an ONNX file; BuildError that lists every fault of the parser."""
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        faults = [f"node {e.node_name() or e.node()} ({e.node_operator()}): {e.desc()}" for e in errors]
        said = "; ".join(faults) or logger.last_error
        raise BuildError(f"TensorRT cannot read the graph: {' '.join(said.split())}")


def configure(trt: Any, builder: Any, network: Any, options: Options, log: Callable[[str], None]) -> Any:
    """Builder settings: workspace, no TF32, detailed layer information, where it may run, a profile for the batch."""
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib * MIB)
    # TF32 is on by default and would make fp32 layers differ from torch's.
    config.clear_flag(trt.BuilderFlag.TF32)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.progress_monitor = make_monitor(trt, log)
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.dla_core is not None:
        use_dla(trt, builder, config, options.dla_core)
    images = network.get_input(0)
    batch, *rest = tuple(images.shape)
    if batch == -1:
        profile = builder.create_optimization_profile()
        profile.set_shape(images.name, *((size, *rest) for size in options.batch))
        if config.add_optimization_profile(profile) < 0:
            raise BuildError(f"TensorRT refuses the batch range {options.batch} for input {images.name}")
    return config


def make_monitor(trt: Any, log: Callable[[str], None]) -> Any:
    """A progress monitor that logs the build's outermost phases, and every tenth part of each."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            """TensorRT's call where a phase of the build begins; those inside another are left out."""
            if not parent_phase:
                self.steps[phase_name] = num_steps
                log(f"TensorRT: {phase_name}")

        def step_complete(self, phase_name: str, step: int) -> bool:
            """TensorRT's call for each step; True lets the build go on."""
            steps = self.steps.get(phase_name, 0)
            if steps >= 10 and (step + 1) % (steps // 10) == 0:
                log(f"TensorRT: {phase_name} {step + 1} of {steps}")
            return True

        def phase_finish(self, phase_name: str) -> None:
            """TensorRT's call where a phase ends."""
            self.steps.pop(phase_name, None)

    return Monitor()


def use_dla(trt: Any, builder: Any, config: Any, core: int) -> None:
    """Run on a deep learning accelerator, and on the GPU what it cannot; BuildError where there is no such core."""
    if not 0 <= core < builder.num_DLA_cores:
        raise BuildError(f"no DLA core {core}: TensorRT finds {builder.num_DLA_cores} here")
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def attach_timing_cache(config: Any, serialised: bytes, log: Callable[[str], None]) -> None:
    """Give `config` an earlier build's timings, or an empty cache where they are another machine's."""
    cache = config.create_timing_cache(serialised)
    if not config.set_timing_cache(cache, ignore_mismatch=False):
        log("the timing cache is of another GPU or TensorRT; starting an empty one")
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)


def inspect(trt: Any, logger: Any, plan: bytes, timing_cache: bytes, precision: str) -> Engine:
    """Load a plan that was just built and read its layers; BuildError where its types are others."""
    runtime = trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise BuildError(f"TensorRT cannot load the engine that it built: {logger.last_error}")
    text = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    inspector = json.loads(text)
    types = tensor_types(inspector)
    check_precision(types, precision)
    return Engine(plan, timing_cache, inspector, describe_tensors(trt, engine), types)


def describe_tensors(trt: Any, engine: Any) -> dict[str, dict[str, Any]]:
    """The engine's input and output."""
    tensors = {}
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        tensors["input" if is_input else "output"] = {
            "name": name,
            "dtype": np.dtype(trt.nptype(engine.get_tensor_dtype(name))).name,
            "shape": list(engine.get_tensor_shape(name)),
        }
    return tensors


def tensor_types(inspector: Mapping[str, Any]) -> dict[str, int]:
    """How many of the layers' inputs and outputs have each type, from the inspector's JSON; else `other`.

    TensorRT 10 writes a tensor's format and type into one field, 11 into two; name and place are no evidence.
    """
    counts: Counter[str] = Counter()
    for layer in inspector["Layers"]:
        for tensor in (*layer.get("Inputs", ()), *layer.get("Outputs", ())):
            said = (v for k, v in tensor.items() if isinstance(v, str) and k not in ("Name", "Location"))
            counts[type_of(" ".join(said))] += 1
    return dict(counts)


def type_of(text: str) -> str:
    """The type that a description of a tensor names."""
    return next((name for name, words in TYPE_WORDS.items() if re.search(words, text)), "other")


def check_precision(types: Mapping[str, int], precision: str) -> None:
    """BuildError unless tensors of the form's type are there and none of a type that it forbids."""
    wrong = [name for name in FORBIDDEN[precision] if types.get(name)]
    if wrong or not types.get(REQUIRED[precision]):
        raise BuildError(f"asked for {precision}, but the engine's tensors are {dict(types)}")
