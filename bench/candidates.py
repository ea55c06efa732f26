"""What a latency table compares: teacher and student as they ship, in torch, as ONNX files and as engines.

Every candidate takes the same decoded pictures in host memory and gives its result there: on a GPU that
includes the transfers. Beside the student's, a second one goes the whole way from a picture's file to its labels.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.latency.runtimes import lacks_openvino, lacks_tensorrt
from bench.machine.memory import Request
from bench.place import place
from bench.turns.opened import Opened
from bench.turns.timing import Call, Candidate
from export.deploy.engine_file import description_of
from export.deploy.infer import segment
from export.deploy.pictures import read
from export.deployed import Deployed
from export.forms import Batch
from export.onnx_graph import export_logits
from export.runtimes.onnx_runtime import OnnxRuntime
from export.runtimes.openvino_runtime import OpenVinoRuntime
from export.runtimes.protocol import Runtime
from export.runtimes.tensorrt_runtime import TensorRTRuntime
from export.runtimes.torch_runtime import TorchRuntime
from export.sidecar import read_sidecar
from stages.nets.catalogue import NetSpec, build_unfilled
from stages.nets.saved import CONFIG, MODEL, load_net
from stages.preprocess import Preprocess

TEACHER_ONNX = "teacher.fp32.logits.onnx"
INFERENCE, PIPELINE = "inference", "pipeline"


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
    facts: Mapping[str, Any]
    """Of the machine: what it lacks is skipped."""
    picture: Path | None
    """File from which a pipeline starts; None where none is measured."""
    preprocess: Preprocess
    """How a picture becomes the input."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width of the input."""
        height, width = self.images_NHWC.shape[1:3]
        return height, width

    def opened(self, open_runtime: Callable[[], Runtime]) -> Opened:
        """A runtime that is opened by the first candidate that is loaded."""
        return Opened(open_runtime, self.open_runtimes)

    def predicting(self, entry: "Entry", opened: Opened) -> Candidate:
        """Inference alone; on a CPU the network is loaded anew between rounds."""

        def load() -> Call:
            opened()
            return lambda: opened().predict(self.images_NHWC)

        on_cpu = place(entry.runtime, self.device) == "cpu"
        return Candidate(entry.name, load, opened.again if on_cpu else None)

    def segmenting(self, name: str, opened: Opened, picture: Path, preprocess: Preprocess) -> Candidate:
        """From the picture's file to labels of its size."""

        def load() -> Call:
            opened()
            return lambda: segment(opened(), read(picture), preprocess)

        return Candidate(name, load)

    def request(
        self, opener: str, arguments: Mapping[str, Any], device: str | None = None, imports: str | None = None
    ) -> Request:
        """How a process of its own opens a candidate by `module:function` and predicts the same shape."""
        return Request(opener, arguments, self.images_NHWC.shape, device or self.device, imports)


@dataclass(frozen=True)
class Entry:
    """A row before it is measured: whose it is, where it runs, which file, what it gives."""

    name: str
    role: str
    """`teacher` or `student`."""
    runtime: str
    file: str | None
    output: str | None
    """`logits` or `labels`."""
    quantity: str = INFERENCE
    """`inference`: from pictures in host memory to results there; `pipeline`: from a picture's file to labels of its
    size."""
    candidate: Candidate | None = None
    why: str = ""
    """Why there is no candidate: the row is skipped."""
    opened: Opened | None = None
    alone: Request | None = None
    """How a process of its own opens it, to measure its memory; None where that is not asked."""

    def to_json(self) -> dict[str, Any]:
        """As plain data, without what measures it."""
        return {name: getattr(self, name) for name in ("role", "runtime", "file", "output", "quantity")}


def measured(entry: Entry, open_runtime: Callable[[], Runtime], bench: Bench) -> list[Entry]:
    """The entry with its candidate; a second one for the pipeline of a student that gives labels, or any in torch."""
    opened = bench.opened(open_runtime)
    found = [replace(entry, candidate=bench.predicting(entry, opened), opened=opened)]
    if bench.picture and entry.role == "student" and ends_in_labels(entry):
        name = f"{entry.name} {PIPELINE}"
        candidate = bench.segmenting(name, opened, bench.picture, bench.preprocess)
        found.append(replace(entry, name=name, quantity=PIPELINE, candidate=candidate, alone=None))
    return found


def ends_in_labels(entry: Entry) -> bool:
    """Whether the way to labels is the usual one: a file of logits is for hosts that decide themselves."""
    return entry.output == "labels" or entry.runtime == "torch"


def torch_entries(role: str, folder: Path, bench: Bench, compiled: bool) -> list[Entry]:
    """A trained network's folder in torch, giving logits."""

    def opener(compiled_batch: int | None) -> Callable[[], Runtime]:
        return lambda: open_torch(str(folder), *bench.size_px, bench.device, bench.threads, compiled_batch)

    height, width = bench.size_px
    alone = bench.request(
        "bench.candidates:open_torch",
        {"folder": str(folder), "height": height, "width": width, "device": bench.device, "threads": bench.threads},
        imports="bench.candidates:import_torch",
    )
    found = measured(Entry(f"{role} torch", role, "torch", MODEL, "logits", alone=alone), opener(None), bench)
    if compiled:
        # Its memory is not asked for: the compiler's would be in it.
        entry = Entry(f"{role} torch compiled", role, "torch-compiled", MODEL, "logits")
        found += measured(entry, opener(len(bench.images_NHWC)), bench)
    return found


def open_torch(
    folder: str, height: int, width: int, device: str, threads: int, compiled_batch: int | None = None
) -> Runtime:
    """A trained network's folder in torch for pictures of one size, giving logits; compiled for a batch where named."""
    net, spec = load_net(Path(folder))
    return TorchRuntime(Deployed(net, spec, "logits"), spec, (height, width), device, threads, compiled_batch)


def import_torch(folder: str, **_: object) -> None:
    """Import the modules of a trained network's kind, by building it without values."""
    spec = NetSpec.from_json(json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8")))
    build_unfilled(spec.net, spec.classes, spec.args)


def teacher_onnx_entry(teacher: Path, exported: Path, bench: Bench) -> list[Entry]:
    """The teacher in onnxruntime, giving logits: its file is made as the student's in `exported` were, and forgotten.

    Where it cannot be made, the candidate fails with the reason as it is loaded: the table stands without it.
    """
    entry = Entry("teacher onnxruntime", "teacher", "onnxruntime", TEACHER_ONNX, "logits")
    student = read_sidecar(min(exported.glob("*.onnx")))
    batch = student["input"]["shape"][0]
    if isinstance(batch, int) and batch != len(bench.images_NHWC):
        return [replace(entry, why=f"exported for batch {batch}, as the student is")]
    path = Path(bench.open_runtimes.enter_context(TemporaryDirectory())) / TEACHER_ONNX
    try:
        export_teacher(teacher, exported, path, bench.size_px)
    except Exception as error:
        return [replace(entry, candidate=Candidate(entry.name, failing(error)))]
    entry = replace(entry, alone=file_request("onnxruntime", path, bench))
    return measured(entry, lambda: OnnxRuntime(path, bench.device, bench.threads), bench)


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


def file_entries(
    folder: Path, runtime: str, open_file: Callable[[Path], Runtime], bench: Bench, suffix: str = ".onnx"
) -> list[Entry]:
    """Every exported file of the student in a runtime; one that was made for other shapes is skipped."""
    found = []
    for path in sorted(folder.glob(f"*{suffix}")):
        described = described_file(path)
        entry = Entry(f"{path.stem} {runtime}", "student", runtime, path.name, described["output"]["name"])
        why = unfit(described["input"]["shape"], bench.images_NHWC.shape)
        opener = lambda path=path: open_file(path)  # noqa: E731
        alone = file_request(runtime, path, bench)
        found += [replace(entry, why=why)] if why else measured(replace(entry, alone=alone), opener, bench)
    return found


def file_request(runtime: str, path: Path, bench: Bench) -> Request:
    """How a process of its own opens a file in a runtime."""
    if runtime == "tensorrt":
        arguments = {"path": str(path), "batch": len(bench.images_NHWC)}
        return bench.request("export.runtimes.tensorrt_runtime:open_engine", arguments, device="cuda")
    if runtime == "openvino":
        arguments = {"path": str(path), "threads": bench.threads}
        imports = "export.runtimes.openvino_runtime:import_openvino"
        return bench.request("export.runtimes.openvino_runtime:open_openvino", arguments, "cpu", imports)
    arguments = {"path": str(path), "device": bench.device, "threads": bench.threads}
    return bench.request("export.runtimes.onnx_runtime:open_onnx", arguments)


def described_file(path: Path) -> Any:
    """What stands beside an ONNX file or an engine."""
    if path.suffix == ".onnx":
        return read_sidecar(path)
    return json.loads(description_of(path).read_text(encoding="utf-8"))


def unfit(made_for: list[int | str], shape: tuple[int, ...]) -> str:
    """Why a file takes no images of a shape; empty where it does. An engine writes -1 for a free batch."""
    fits = all(not isinstance(size, int) or size in (-1, got) for size, got in zip(made_for, shape, strict=True))
    return "" if fits else f"made for {' x '.join(map(str, made_for))} (images x height x width x channels)"


def engine_entries(inputs: Mapping[str, Path], bench: Bench) -> list[Entry]:
    """Every TensorRT engine; one skipped row where none was built, a skipped row each where this machine runs none."""
    nameless = Entry("student tensorrt", "student", "tensorrt", None, None)
    if "export.tensorrt" not in inputs:
        return [replace(nameless, why="export.tensorrt was skipped: build the engine on the target")]
    batch = len(bench.images_NHWC)
    found = file_entries(
        inputs["export.tensorrt"], "tensorrt", lambda path: TensorRTRuntime(path, batch), bench, ".plan"
    )
    lacks = lacks_tensorrt(bench.facts)
    inferences = [entry for entry in found if entry.quantity == INFERENCE]
    return [replace(entry, candidate=None, opened=None, why=lacks) for entry in inferences] if lacks else found


def openvino_entries(folder: Path, bench: Bench) -> list[Entry]:
    """Every exported file in OpenVINO on the CPU; one skipped row where it is not installed."""
    lacks = lacks_openvino(bench.facts)
    if lacks:
        return [Entry("student openvino", "student", "openvino", None, None, why=lacks)]
    return file_entries(folder, "openvino", lambda path: OpenVinoRuntime(path, bench.threads), bench)


def entries(inputs: Mapping[str, Path], runtimes: tuple[str, ...], compiled: bool, bench: Bench) -> list[Entry]:
    """The rows of the runtimes asked for, teacher before student, then the engines."""
    exported = inputs["export.onnx"]
    found = []
    if "torch" in runtimes:
        found += torch_entries("teacher", inputs["teacher"], bench, compiled)
        found += torch_entries("student", inputs["distill"], bench, compiled)
    if "onnxruntime" in runtimes:
        found += teacher_onnx_entry(inputs["teacher"], exported, bench)
        found += file_entries(
            exported, "onnxruntime", lambda path: OnnxRuntime(path, bench.device, bench.threads), bench
        )
    if "openvino" in runtimes:
        found += openvino_entries(exported, bench)
    return found + engine_entries(inputs, bench)
