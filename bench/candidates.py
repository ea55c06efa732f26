"""What a latency table compares: teacher and student as they ship in torch, the exported files elsewhere.

Every candidate takes the same decoded pictures in host memory and gives its result there: on a GPU that
includes the transfers.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.latency import Call, Candidate
from export.deployed import Deployed
from export.runtimes.onnx_runtime import OnnxRuntime
from export.runtimes.protocol import Runtime
from export.runtimes.torch_runtime import TorchRuntime
from export.sidecar import read_sidecar
from stages.nets.saved import MODEL, load_net


@dataclass(frozen=True)
class Bench:
    """What all candidates share."""

    images_NHWC: np.ndarray
    """uint8 RGB, the batch that each inference takes."""
    device: str
    """`cpu` or `cuda`."""
    threads: int
    """CPU threads within an operator."""
    open_runtimes: ExitStack
    """Closes the runtimes, the last first: torch's thread setting is handed back in that order."""

    def loader(self, open_runtime: Callable[[], Runtime]) -> Callable[[], Call]:
        """The `load` of a candidate that predicts with the runtime."""

        def load() -> Call:
            runtime = self.open_runtimes.enter_context(open_runtime())
            return lambda: runtime.predict(self.images_NHWC)

        return load


@dataclass(frozen=True)
class Entry:
    """A candidate and what a report says of it: whose it is, where it runs, which file, what it gives."""

    role: str
    """`teacher` or `student`."""
    runtime: str
    file: str
    output: str
    """`logits` or `labels`."""
    candidate: Candidate

    def to_json(self) -> dict[str, str]:
        """As plain data, the candidate's name left out."""
        return {"role": self.role, "runtime": self.runtime, "file": self.file, "output": self.output}


def torch_entry(role: str, folder: Path, bench: Bench) -> Entry:
    """A trained network's folder in torch, giving logits."""
    height, width = bench.images_NHWC.shape[1:3]

    def open_runtime() -> Runtime:
        net, spec = load_net(folder)
        module = Deployed(net, spec, "logits")
        return TorchRuntime(module, spec, (height, width), bench.device, bench.threads)

    return Entry(role, "torch", MODEL, "logits", Candidate(f"{role} torch", bench.loader(open_runtime)))


def onnx_entries(folder: Path, bench: Bench) -> list[Entry]:
    """Every exported ONNX file in onnxruntime."""
    return [onnx_entry(path, bench) for path in sorted(folder.glob("*.onnx"))]


def onnx_entry(path: Path, bench: Bench) -> Entry:
    """One ONNX file of the student in onnxruntime."""

    def open_runtime() -> Runtime:
        return OnnxRuntime(path, bench.device, bench.threads)

    output = read_sidecar(path)["output"]["name"]
    candidate = Candidate(f"{path.stem} onnxruntime", bench.loader(open_runtime))
    return Entry("student", "onnxruntime", path.name, output, candidate)


def entries(inputs: Mapping[str, Path], runtimes: tuple[str, ...], bench: Bench) -> list[Entry]:
    """The candidates of the runtimes asked for, teacher before student."""
    found = []
    if "torch" in runtimes:
        found += [
            torch_entry("teacher", inputs["teacher"], bench),
            torch_entry("student", inputs["distill"], bench),
        ]
    if "onnxruntime" in runtimes:
        found += onnx_entries(inputs["export.onnx"], bench)
    return found
