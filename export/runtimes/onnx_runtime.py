"""An ONNX file in onnxruntime. Python 3.10: it travels to boards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from export.runtimes.protocol import TensorSpec, check_input
from pipeline.errors import NetworkError

PROVIDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "cpu": ("CPUExecutionProvider", {}),
    # TF32 is on by default and costs half of fp32's digits.
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
}
ERRORS_ONLY = 3
DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


class OnnxRuntime:
    """Runs a file with one input and one output on `device` (`cpu` or `cuda`), never silently elsewhere.

    `threads`: CPU threads within an operator; None leaves onnxruntime's choice, all physical cores.
    """

    def __init__(self, path: Path, device: str = "cpu", threads: int | None = None) -> None:
        self._session: onnxruntime.InferenceSession | None = open_session(path, device, threads)
        self._file = path.name
        self.name = f"onnxruntime {onnxruntime.__version__} {PROVIDERS[device][0]}"
        (source,), (result,) = self._session.get_inputs(), self._session.get_outputs()
        self.input = TensorSpec(source.name, DTYPES[source.type], tuple(source.shape))
        self.output = TensorSpec(result.name, DTYPES[result.type], tuple(result.shape))

    def predict(self, images_NHWC: np.ndarray) -> np.ndarray:
        """As `Runtime.predict`; the batch is the file's unless that is dynamic."""
        assert self._session is not None, "a closed runtime cannot predict"
        check_input(images_NHWC, self.input, self._file)
        array: np.ndarray
        (array,) = self._session.run([self.output.name], {self.input.name: images_NHWC})
        return array

    def close(self) -> None:
        """Release the session."""
        self._session = None

    def __enter__(self) -> OnnxRuntime:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


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
