"""The runtimes that are measured: what each runs, whether it is here, how it opens a model."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.latency.models import Kind, Model
from bench.machine.memory import function_of
from export.runtimes.openvino_runtime import INSTALL
from export.tensorrt import available
from pipeline.facts import version

COMPILERS = ("c++", "g++", "clang++")
Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Setting:
    """What all runtimes share in one run."""

    device: str
    """`cpu` or `cuda`: where torch runs."""
    threads: int
    """CPU threads within an operator."""


@dataclass(frozen=True)
class Opener:
    """How a runtime opens a model: in this process, or in one of its own for its memory."""

    function: str
    """`module:function` that gives the loaded model, a `Runtime` or a `Network`."""
    arguments: Callable[[Model, int, Size | None, Setting], dict[str, Any]]
    """(model, batch, height and width, setting) -> the function's, as plain data."""
    imports: str | None = None
    """`module:function` of the same arguments that imports what opening would import only then; None for nothing."""
    unweighed: str = ""
    """Why its memory is not measured."""

    def ready(self, model: Model, batch: int, size_px: Size | None, setting: Setting) -> Callable[[], Any]:
        """What loads the model. The libraries are imported here: that is no part of the first model's load time."""
        arguments, function = self.arguments(model, batch, size_px, setting), function_of(self.function)
        if self.imports is not None:
            function_of(self.imports)(**arguments)
        return partial(function, **arguments)


@dataclass(frozen=True)
class RuntimeKind:
    """One runtime."""

    runs: Kind
    lacks: Callable[[Mapping[str, Any]], str | None]
    """Why it cannot run here, by the machine's facts, with what to install; None where it can."""
    opener: Opener
    place: Callable[[Setting], str]
    """`cpu` or `cuda`."""
    reloads: bool = False
    """Whether a model is loaded anew between rounds: a GPU places it on pages of its own kind."""


def lacks_torch(facts: Mapping[str, Any]) -> str | None:
    return None if facts["torch"] else "torch is not installed: pip install torch torchvision"


def lacks_compiler(facts: Mapping[str, Any]) -> str | None:
    """torch compiles for a CPU with the machine's C++ compiler, for a GPU with Triton."""
    if facts["device"] == "cuda":
        return lacks_torch(facts) or (None if version("triton") else "triton is not installed: pip install triton")
    named = os.environ.get("CXX")
    if not any(shutil.which(name) for name in ([named] if named else COMPILERS)):
        return f"torch compiles with a C++ compiler and there is none ({named or ', '.join(COMPILERS)}): install g++"
    return lacks_torch(facts)


def lacks_onnxruntime(facts: Mapping[str, Any]) -> str | None:
    return None if facts["onnxruntime"] else "onnxruntime is not installed: pip install onnxruntime"


def lacks_cuda(facts: Mapping[str, Any]) -> str | None:
    if not facts["gpu"]:
        return "no NVIDIA GPU"
    missing = "this onnxruntime was built without CUDA: pip uninstall onnxruntime; pip install onnxruntime-gpu"
    return lacks_onnxruntime(facts) or (None if version("onnxruntime-gpu") else missing)


def lacks_openvino(facts: Mapping[str, Any]) -> str | None:
    return None if facts["openvino"] else f"openvino is not installed: {INSTALL}"


def lacks_tensorrt(facts: Mapping[str, Any]) -> str | None:
    missing = "pycuda is not installed: pip install pycuda, which needs the CUDA toolkit's nvcc"
    return available(facts) or (None if version("pycuda") else missing)


def torch_arguments(model: Model, batch: int, size_px: Size | None, setting: Setting) -> dict[str, Any]:
    """A trained network as it ships, giving logits."""
    assert size_px is not None, "a trained network takes any size, so one was chosen"
    height, width = size_px
    where = {"device": setting.device, "threads": setting.threads}
    return {"folder": str(model.path), "height": height, "width": width, **where}


def compiled_arguments(model: Model, batch: int, size_px: Size | None, setting: Setting) -> dict[str, Any]:
    return {**torch_arguments(model, batch, size_px, setting), "compiled_batch": batch}


def onnx_arguments(model: Model, batch: int, size_px: Size | None, setting: Setting) -> dict[str, Any]:
    return {"path": str(model.path), "threads": setting.threads}


def cuda_arguments(model: Model, batch: int, size_px: Size | None, setting: Setting) -> dict[str, Any]:
    return {**onnx_arguments(model, batch, size_px, setting), "device": "cuda"}


def engine_arguments(model: Model, batch: int, size_px: Size | None, setting: Setting) -> dict[str, Any]:
    return {"path": str(model.path), "batch": batch}


OPEN_TORCH = Opener("bench.candidates:open_torch", torch_arguments, imports="bench.candidates:import_torch")
OPEN_COMPILED = Opener(
    "bench.candidates:open_torch", compiled_arguments, unweighed="the compiler's own memory would be in it"
)
OPEN_ONNX = Opener("export.runtimes.onnx_runtime:open_onnx", onnx_arguments)
OPEN_CUDA = Opener("export.runtimes.onnx_runtime:open_onnx", cuda_arguments)
OPEN_OPENVINO = Opener(
    "export.runtimes.openvino_runtime:open_openvino",
    onnx_arguments,
    imports="export.runtimes.openvino_runtime:import_openvino",
)
OPEN_ENGINE = Opener("export.runtimes.tensorrt_runtime:open_engine", engine_arguments)

RUNTIMES: dict[str, RuntimeKind] = {
    "torch": RuntimeKind("network", lacks_torch, OPEN_TORCH, lambda setting: setting.device, reloads=True),
    "torch-compiled": RuntimeKind("network", lacks_compiler, OPEN_COMPILED, lambda setting: setting.device),
    "onnxruntime": RuntimeKind("onnx", lacks_onnxruntime, OPEN_ONNX, lambda setting: "cpu", reloads=True),
    "onnxruntime-cuda": RuntimeKind("onnx", lacks_cuda, OPEN_CUDA, lambda setting: "cuda"),
    "openvino": RuntimeKind("onnx", lacks_openvino, OPEN_OPENVINO, lambda setting: "cpu", reloads=True),
    "tensorrt": RuntimeKind("engine", lacks_tensorrt, OPEN_ENGINE, lambda setting: "cuda"),
}
