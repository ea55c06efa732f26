"""An ONNX file in onnxruntime. Python 3.10: it travels to boards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from export.runtimes.protocol import FileRuntime, TensorSpec
from pipeline.errors import NetworkError

PROVIDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "cpu": ("CPUExecutionProvider", {}),
    # TF32 is on by default and costs half of fp32's digits.
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
}
ERRORS_ONLY = 3
DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}
"""onnxruntime's names of types that numpy calls otherwise."""


class OnnxRuntime(FileRuntime):
    """Runs a file on `device` (`cpu` or `cuda`), never silently elsewhere: any file by `run`, one that takes pictures
    and has one output by `predict` as well.

    `threads`: CPU threads within an operator; None leaves onnxruntime's choice, all physical cores.
    """

    def __init__(self, path: Path, device: str = "cpu", threads: int | None = None) -> None:
        self._session: onnxruntime.InferenceSession | None = open_session(path, device, threads)
        self._file = path.name
        self._device = device
        self.name = f"onnxruntime {onnxruntime.__version__} {PROVIDERS[device][0]}"
        self.inputs = tuple(map(spec_of, self._session.get_inputs()))
        self.outputs = tuple(map(spec_of, self._session.get_outputs()))

    def run(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """As `Network.run`."""
        assert self._session is not None, "a closed runtime cannot predict"
        results: list[np.ndarray] = self._session.run(None, dict(feeds))
        return results

    def bound(self, feeds: Mapping[str, np.ndarray]) -> Callable[[], None]:
        """A call that runs the network on copies of the arrays that lie on the device, its results left there."""
        assert self._session is not None, "a closed runtime cannot predict"
        session, binding = self._session, self._session.io_binding()
        for name, array in feeds.items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array, self._device, 0))
        for spec in self.outputs:
            binding.bind_output(spec.name, self._device)

        def call() -> None:
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        return call

    def close(self) -> None:
        """Release the session."""
        self._session = None


def open_onnx(path: str, device: str = "cpu", threads: int | None = None) -> OnnxRuntime:
    """A file by its name as text, as a process of its own is told it."""
    return OnnxRuntime(Path(path), device, threads)


def open_session(path: Path, device: str, threads: int | None) -> onnxruntime.InferenceSession:
    """A session whose first provider is the one of `device`; NetworkError where it would be another."""
    provider, settings = PROVIDERS[device]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # Its warnings are of what it cannot optimise, hundreds for an fp16 graph on a CPU; errors are raised.
    options.log_severity_level = ERRORS_ONLY
    if device == "cuda":
        onnxruntime.preload_dlls()
    try:
        session = onnxruntime.InferenceSession(path, options, providers=[(provider, settings)])
    except Exception as error:
        # onnxruntime's exception classes share no public base.
        raise NetworkError(f"onnxruntime cannot load {path}: {' '.join(str(error).split())}") from error
    if session.get_providers()[0] != provider:
        raise NetworkError(
            f"onnxruntime runs {path.name} on {session.get_providers()[0]}, not {provider}; "
            "install onnxruntime-gpu and its CUDA libraries, or choose the device cpu"
        )
    return session


def spec_of(argument: Any) -> TensorSpec:
    """An input or output of a session; an axis that nobody named is `?`."""
    dtype = DTYPES.get(argument.type, argument.type.removeprefix("tensor(").removesuffix(")"))
    return TensorSpec(argument.name, dtype, tuple("?" if size is None else size for size in argument.shape))
