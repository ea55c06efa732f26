"""The runtimes that are measured: what each runs, whether it is here, how it opens a model."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.latency.models import Kind, Model
from export.runtimes.openvino_runtime import INSTALL
from export.runtimes.protocol import Network, Runtime
from export.tensorrt import available
from pipeline.facts import version

COMPILERS = ("c++", "g++", "clang++")


@dataclass(frozen=True)
class Setting:
    """What all runtimes share in one run."""

    device: str
    """`cpu` or `cuda`: where torch runs."""
    threads: int
    """CPU threads within an operator."""


@dataclass(frozen=True)
class RuntimeKind:
    """One runtime."""

    runs: Kind
    lacks: Callable[[Mapping[str, Any]], str | None]
    """Why it cannot run here, by the machine's facts, with what to install; None where it can."""
    open: Callable[[Model, int, tuple[int, int] | None, Setting], Runtime | Network]
    """(model, batch, height and width, setting) -> the loaded model."""
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


def open_torch(model: Model, batch: int, size_px: tuple[int, int] | None, setting: Setting) -> Runtime:
    return torch_runtime(model.path, size_px, setting, None)


def open_compiled(model: Model, batch: int, size_px: tuple[int, int] | None, setting: Setting) -> Runtime:
    return torch_runtime(model.path, size_px, setting, batch)


def torch_runtime(
    folder: Path, size_px: tuple[int, int] | None, setting: Setting, compiled_batch: int | None
) -> Runtime:
    """A trained network as it ships, giving logits."""
    from export.deployed import Deployed
    from export.runtimes.torch_runtime import TorchRuntime
    from stages.nets.saved import load_net

    assert size_px is not None, "a trained network takes any size, so one was chosen"
    net, spec = load_net(folder)
    return TorchRuntime(Deployed(net, spec, "logits"), spec, size_px, setting.device, setting.threads, compiled_batch)


def open_onnx(model: Model, batch: int, size_px: tuple[int, int] | None, setting: Setting) -> Network:
    from export.runtimes.onnx_runtime import OnnxRuntime

    return OnnxRuntime(model.path, "cpu", setting.threads)


def open_onnx_cuda(model: Model, batch: int, size_px: tuple[int, int] | None, setting: Setting) -> Network:
    from export.runtimes.onnx_runtime import OnnxRuntime

    return OnnxRuntime(model.path, "cuda", setting.threads)


def open_openvino(model: Model, batch: int, size_px: tuple[int, int] | None, setting: Setting) -> Network:
    from export.runtimes.openvino_runtime import OpenVinoRuntime

    return OpenVinoRuntime(model.path, setting.threads)


def open_tensorrt(model: Model, batch: int, size_px: tuple[int, int] | None, setting: Setting) -> Runtime:
    from export.runtimes.tensorrt_runtime import TensorRTRuntime

    return TensorRTRuntime(model.path, batch)


RUNTIMES: dict[str, RuntimeKind] = {
    "torch": RuntimeKind("network", lacks_torch, open_torch, lambda setting: setting.device, reloads=True),
    "torch-compiled": RuntimeKind("network", lacks_compiler, open_compiled, lambda setting: setting.device),
    "onnxruntime": RuntimeKind("onnx", lacks_onnxruntime, open_onnx, lambda setting: "cpu", reloads=True),
    "onnxruntime-cuda": RuntimeKind("onnx", lacks_cuda, open_onnx_cuda, lambda setting: "cuda"),
    "openvino": RuntimeKind("onnx", lacks_openvino, open_openvino, lambda setting: "cpu", reloads=True),
    "tensorrt": RuntimeKind("engine", lacks_tensorrt, open_tensorrt, lambda setting: "cuda"),
}
