"""An ONNX file in OpenVINO on the CPU."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export.runtimes.protocol import FileRuntime, TensorSpec
from pipeline.errors import NetworkError

INSTALL = "pip install openvino"


def open_openvino(path: str, threads: int | None = None) -> "OpenVinoRuntime":
    """A file by its name as text, as a process of its own is told it."""
    return OpenVinoRuntime(Path(path), threads)


def import_openvino(**_: object) -> None:
    """Import the library, which is done otherwise when a file is opened."""
    import openvino  # noqa: F401


class OpenVinoRuntime(FileRuntime):
    """Runs a file as it is written: an fp32 graph is not computed in bf16 on a CPU that could.

    Any file by `run`, one that takes pictures and has one output by `predict` as well. `threads`: CPU threads in all;
    None leaves OpenVINO's choice.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        try:
            import openvino
        except ImportError as error:
            raise NetworkError(f"openvino cannot be imported ({error}): {INSTALL}") from error
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            compiled = openvino.Core().compile_model(path, "CPU", settings)
        except RuntimeError as error:
            raise NetworkError(f"OpenVINO cannot load {path}: {' '.join(str(error).split())}") from error
        self._file = path.name
        self._request: Any = compiled.create_infer_request()
        self.name = f"OpenVINO {openvino.__version__.partition('-')[0]} CPU"
        self.inputs = tuple(map(spec_of, compiled.inputs))
        self.outputs = tuple(map(spec_of, compiled.outputs))

    def run(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """As `Network.run`; the inputs are read where they lie."""
        assert self._request is not None, "a closed runtime cannot predict"
        results = self._request.infer(dict(feeds), share_inputs=True)
        return [results[index] for index in range(len(self.outputs))]

    def close(self) -> None:
        """Release the network."""
        self._request = None


def spec_of(port: Any) -> TensorSpec:
    """An input or output of a compiled model; OpenVINO forgets what an axis was called."""
    shape = tuple("?" if size.is_dynamic else size.get_length() for size in port.get_partial_shape())
    return TensorSpec(port.get_any_name(), np.dtype(port.get_element_type().to_dtype()).name, shape)
