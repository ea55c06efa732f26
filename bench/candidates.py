"""What a latency table compares: teacher and student as they ship, in torch and as ONNX files.

Every candidate takes the same decoded pictures in host memory and gives its result there: on a GPU that
includes the transfers.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.latency import Call, Candidate
from bench.memory import Request
from export.deployed import Deployed
from export.forms import Batch
from export.onnx_graph import export_logits
from export.runtimes.onnx_runtime import OnnxRuntime
from export.runtimes.protocol import Runtime
from export.runtimes.torch_runtime import TorchRuntime
from export.sidecar import read_sidecar
from stages.nets.catalogue import NetSpec, build_unfilled
from stages.nets.saved import CONFIG, MODEL, load_net

TEACHER_ONNX = "teacher.fp32.logits.onnx"


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
    """Closes the runtimes, the last first: torch's thread setting is handed back in that order. Then removes what was
    made for them."""

    def loader(self, open_runtime: Callable[[], Runtime]) -> Callable[[], Call]:
        """The `load` of a candidate that predicts with the runtime."""

        def load() -> Call:
            runtime = self.open_runtimes.enter_context(open_runtime())
            return lambda: runtime.predict(self.images_NHWC)

        return load

    def request(self, opener: str, imports: str | None = None, **arguments: str | int | None) -> Request:
        """How a process of its own opens a candidate by `module:function` and predicts the same shape."""
        arguments |= {"device": self.device, "threads": self.threads}
        return Request(opener, arguments, self.images_NHWC.shape, self.device, imports)


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
    alone: Request
    """How a process of its own opens it, to measure its memory."""

    def to_json(self) -> dict[str, str]:
        """As plain data, the candidate's name left out."""
        return {"role": self.role, "runtime": self.runtime, "file": self.file, "output": self.output}


def torch_entry(role: str, folder: Path, bench: Bench) -> Entry:
    """A trained network's folder in torch, giving logits."""
    size_px = bench.images_NHWC.shape[1:3]
    load = bench.loader(lambda: open_torch(str(folder), *size_px, bench.device, bench.threads))
    height, width = size_px
    opener, imports = (f"bench.candidates:{function.__name__}" for function in (open_torch, import_torch))
    alone = bench.request(opener, imports, folder=str(folder), height=height, width=width)
    return Entry(role, "torch", MODEL, "logits", Candidate(f"{role} torch", load), alone)


def open_torch(folder: str, height: int, width: int, device: str, threads: int) -> Runtime:
    """A trained network's folder in torch for pictures of one size, giving logits."""
    net, spec = load_net(Path(folder))
    return TorchRuntime(Deployed(net, spec, "logits"), spec, (height, width), device, threads)


def import_torch(folder: str, **_: object) -> None:
    """Import the modules of a trained network's kind, by building it without values."""
    spec = NetSpec.from_json(json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8")))
    build_unfilled(spec.net, spec.classes, spec.args)


def teacher_onnx_entry(teacher: Path, exported: Path, bench: Bench) -> Entry:
    """The teacher in onnxruntime, giving logits: its file is made as the student's in `exported` were, and forgotten.

    Where it cannot be made, the candidate fails with the reason as it is loaded: the table stands without it.
    """
    path = Path(bench.open_runtimes.enter_context(TemporaryDirectory())) / TEACHER_ONNX
    height, width = bench.images_NHWC.shape[1:3]
    try:
        export_teacher(teacher, exported, path, (height, width))
        load = bench.loader(lambda: OnnxRuntime(path, bench.device, bench.threads))
    except Exception as error:
        load = failing(error)
    candidate = Candidate("teacher onnxruntime", load)
    return Entry("teacher", "onnxruntime", TEACHER_ONNX, "logits", candidate, onnx_request(path, bench))


def export_teacher(teacher: Path, exported: Path, path: Path, size_px: tuple[int, int]) -> None:
    """Write the teacher's logits form, with the opset and the batch of the student's files."""
    student = read_sidecar(min(exported.glob("*.onnx")))
    first = student["input"]["shape"][0]
    batch: Batch = first if isinstance(first, int) else "dynamic"
    net, spec = load_net(teacher)
    model = export_logits(Deployed(net, spec, "logits"), size_px, batch, student["opset"])
    path.write_bytes(model.SerializeToString())


def failing(error: Exception) -> Callable[[], Call]:
    """A `load` that raises."""

    def load() -> Call:
        raise error

    return load


def onnx_entries(folder: Path, bench: Bench) -> list[Entry]:
    """Every exported ONNX file of the student in onnxruntime."""
    return [onnx_entry(path, bench) for path in sorted(folder.glob("*.onnx"))]


def onnx_entry(path: Path, bench: Bench) -> Entry:
    """One ONNX file of the student in onnxruntime."""

    def open_runtime() -> Runtime:
        return OnnxRuntime(path, bench.device, bench.threads)

    output = read_sidecar(path)["output"]["name"]
    candidate = Candidate(f"{path.stem} onnxruntime", bench.loader(open_runtime))
    return Entry("student", "onnxruntime", path.name, output, candidate, onnx_request(path, bench))


def onnx_request(path: Path, bench: Bench) -> Request:
    """How a process of its own opens an ONNX file."""
    return bench.request("export.runtimes.onnx_runtime:open_onnx", path=str(path))


def entries(inputs: Mapping[str, Path], runtimes: tuple[str, ...], bench: Bench) -> list[Entry]:
    """The candidates of the runtimes asked for, teacher before student."""
    found = []
    if "torch" in runtimes:
        found += [
            torch_entry("teacher", inputs["teacher"], bench),
            torch_entry("student", inputs["distill"], bench),
        ]
    if "onnxruntime" in runtimes:
        found += [
            teacher_onnx_entry(inputs["teacher"], inputs["export.onnx"], bench),
            *onnx_entries(inputs["export.onnx"], bench),
        ]
    return found
