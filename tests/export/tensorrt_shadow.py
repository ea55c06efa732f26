"""Runs the engine build against NVIDIA's real Python classes, without a GPU.

Where TensorRT's libraries are stubs, its classes are real but none can be made. A `Shadow` stands for an
object of such a class: it has the attributes of the class and no others, and every call must fit a signature
in the docstrings.
Run by test_tensorrt_bindings.py in a process of its own; prints one JSON document.
"""

import inspect
import json
import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorrt_bindings

from export import tensorrt
from export.deploy.build_engine import BuildError, Options, build_engine, make_monitor
from export.deploy.engine_file import description_of
from export.engines import golden_of
from export.runtimes.tensorrt_runtime import TensorRTRuntime, make_profiler
from pipeline.errors import NetworkError
from pipeline.stage import Context

PREFIX = "tensorrt_bindings.tensorrt."
PLAIN = {"int": int, "typing.SupportsInt": int, "str": str, "bool": bool, "buffer": bytes, "tuple": tuple}
REAL = {"ILogger", "Logger", "IProgressMonitor", "IProfiler"}
"""Classes that can be made, and derived from, without a GPU."""
CXX_NAMES = {"nvonnxparser::IParserError": "ParserError"}
RETURNED = {"bool": True, "int": 0, "None": None, "IHostMemory": b"plan"}

Answers = dict[str, Any]


def parameters(text: str) -> inspect.Signature:
    """`self: A, pool: B, size: int = 0` as a signature whose annotations are the types' names."""
    found = []
    for part in re.split(r",\s+(?=\w+:)", text):
        name, _, rest = part.partition(":")
        kind, equals, default = rest.partition(" = ")
        found.append(
            inspect.Parameter(
                name.strip(),
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=default if equals else inspect.Parameter.empty,
                annotation=kind.strip(),
            )
        )
    return inspect.Signature(found)


def overloads(name: str, docstring: str) -> list[tuple[inspect.Signature, str]]:
    """Every signature of a method that pybind11 wrote into its docstring, with the type that it returns."""
    lines = re.findall(rf"^(?:\d+\. )?{re.escape(name)}\((self: .*)\) -> (\S+)\s*$", docstring, re.MULTILINE)
    assert lines, f"no signature of {name} in {docstring!r}"
    return [(parameters(arguments), returned) for arguments, returned in lines]


def fits(value: Any, annotation: str) -> bool:
    """Whether pybind11 would take `value` for a parameter of this type."""
    name = annotation.removeprefix(PREFIX)
    if annotation in PLAIN or annotation.endswith(".Buffer"):
        return isinstance(value, PLAIN.get(annotation, bytes))
    if name == "Dims":
        return isinstance(value, tuple) and all(isinstance(size, int) for size in value)
    wanted = getattr(tensorrt_bindings, name)
    return isinstance(value, wanted) or (isinstance(value, Shadow) and issubclass(value._class, wanted))


def check_call(name: str, docstring: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> str:
    """The type that the call returns; TypeError where no overload takes these arguments."""
    for signature, returned in overloads(name, docstring):
        try:
            bound = signature.bind(*arguments, **keywords)
        except TypeError:
            continue
        annotations = {key: signature.parameters[key].annotation for key in bound.arguments}
        if all(fits(value, annotations[key]) for key, value in bound.arguments.items()):
            return returned
    raise TypeError(f"{name}{arguments}{keywords} fits no signature:\n{docstring}")


class Shadow:
    """An object of a class of the bindings that cannot be made here."""

    def __init__(self, module: "ShadowModule", cls: type) -> None:
        self.__dict__.update(_module=module, _class=cls)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._class, name)
        key = f"{self._class.__name__}.{name}"
        if isinstance(member, property):
            return self._module.answers[key]
        return partial(self._call, key, name, member.__doc__)

    def __setattr__(self, name: str, value: Any) -> None:
        member = getattr(self._class, name)
        if not isinstance(member, property) or member.fset is None:
            raise AttributeError(f"{self._class.__name__}.{name} cannot be set")
        self._module.calls.append(f"{self._class.__name__}.{name} = {value}")

    def _call(self, key: str, name: str, docstring: str, *arguments: Any, **keywords: Any) -> Any:
        returned = check_call(name, docstring, (self, *arguments), keywords)
        self._module.note(key, arguments, keywords)
        answer = self._module.answers.get(key)
        if callable(answer):
            return answer(*arguments)
        return answer if key in self._module.answers else self._module.instance(returned)


class ShadowModule:
    """`tensorrt` itself: real enumerations, logger and functions; other classes make shadows."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        member = getattr(tensorrt_bindings, name)
        is_real = not isinstance(member, type) or hasattr(member, "__members__") or name in REAL
        return member if is_real else partial(self._construct, member)

    def _construct(self, cls: type, *arguments: Any, **keywords: Any) -> Shadow:
        made = Shadow(self, cls)
        check_call("__init__", cls.__init__.__doc__ or "", (made, *arguments), keywords)
        return made

    def note(self, key: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        shown = [str(a) if not isinstance(a, Shadow | bytes) else type(a).__name__ for a in arguments]
        self.calls.append(f"{key}({', '.join([*shown, *(f'{k}={v}' for k, v in keywords.items())])})")

    def instance(self, returned: str) -> Any:
        name = CXX_NAMES.get(returned, returned.removeprefix(PREFIX))
        return RETURNED[name] if name in RETURNED else Shadow(self, getattr(tensorrt_bindings, name))


def layers(datatype: str) -> str:
    """What the engine inspector would print of one layer."""
    tensor = {"Name": "Int8 in a name is no type", "Location": "Device", "Format/Datatype": datatype}
    return json.dumps({"Layers": [{"Name": "conv", "Inputs": [tensor], "Outputs": [tensor]}]})


def answers(**changes: Any) -> Answers:
    """What a machine with a GPU would answer."""
    trt = tensorrt_bindings
    return {
        "Builder.num_DLA_cores": 2,
        "ITensor.name": "images",
        "ITensor.shape": trt.Dims((-1, 512, 1024, 3)),
        "ICudaEngine.num_io_tensors": 2,
        "ICudaEngine.get_tensor_name": lambda index: ("images", "labels")[index],
        "ICudaEngine.get_tensor_mode": lambda n: getattr(trt.TensorIOMode, "INPUT" if n == "images" else "OUTPUT"),
        "ICudaEngine.get_tensor_dtype": trt.DataType.UINT8,
        "ICudaEngine.get_tensor_shape": lambda n: trt.Dims((-1, 512, 1024, 3)[: 4 if n == "images" else 3]),
        "EngineInspector.get_engine_information": layers("Row major linear FP32"),
        "OnnxParser.num_errors": 1,
        "ParserError.node_name": "argmax",
        "ParserError.node_operator": "ArgMax",
        "ParserError.desc": "no such\noperator",
        **{key.replace("__", "."): value for key, value in changes.items()},
    }


OPTIONS = Options("fp32", workspace_mib=512, batch=(1, 1, 4))


def build(options: Options = OPTIONS, **changes: Any) -> dict[str, Any]:
    """One build: its calls, log lines, and the engine or the error."""
    trt = ShadowModule(answers(**changes))
    lines: list[str] = []
    try:
        engine = build_engine(trt, b"onnx", options, b"", lines.append)
    except BuildError as error:
        return {"error": str(error), "calls": trt.calls, "log": lines}
    told = {"plan": engine.plan.decode(), "tensors": engine.tensors, "types": engine.tensor_types}
    return {**told, "calls": trt.calls, "log": lines}


def refused(call: Callable[[], object]) -> str:
    """Name of the exception that a wrong use of the bindings raises here."""
    try:
        call()
    except (AttributeError, TypeError) as error:
        return type(error).__name__
    return "accepted"


def wrong_uses() -> dict[str, str]:
    """What the shadows say to calls that no version has, and to one that TensorRT 11 took away."""
    trt = ShadowModule(answers())
    builder = trt.Builder(tensorrt_bindings.Logger())
    config = builder.create_builder_config()
    return {
        "unknown method": refused(lambda: builder.build_engine(None, config)),
        "unknown keyword": refused(lambda: config.set_memory_pool_limit(bytes=1)),
        "wrong type": refused(lambda: config.clear_flag(1)),
        "too few": refused(lambda: builder.build_serialized_network(config)),
        "read-only": refused(lambda: setattr(config, "num_optimization_profiles", 2)),
        "fp16 flag": refused(lambda: config.set_flag(trt.BuilderFlag.FP16)),
    }


def without_gpu() -> str:
    """The message of the real bindings' refusal on this machine."""
    try:
        build_engine(tensorrt_bindings, b"", OPTIONS, b"", lambda line: None)
    except BuildError as error:
        return str(error)
    return "built"


class Memory:
    """Device memory of pycuda: bytes of the host."""

    def __init__(self, size: int) -> None:
        self.bytes = bytearray(size)
        self.freed = False

    def __int__(self) -> int:
        return 4096

    def free(self) -> None:
        assert not self.freed
        self.freed = True


class Cuda:
    """The part of pycuda.driver that is used, over host memory; `answer` is what an engine leaves in its output."""

    def __init__(self, answer: np.ndarray) -> None:
        self.answer = answer
        self.calls: list[str] = []
        self.memories: list[Memory] = []
        self.Event = lambda: SimpleNamespace(record=lambda stream: None, time_till=lambda other: 1.5)
        self.Stream = lambda: SimpleNamespace(handle=7, synchronize=lambda: self.calls.append("synchronize"))
        context = {name: partial(self.calls.append, name) for name in ("push", "pop", "detach")}
        self.Device = lambda index: SimpleNamespace(retain_primary_context=lambda: SimpleNamespace(**context))
        self.init = lambda: self.calls.append("init")

    def pagelocked_empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return np.empty(shape, dtype)

    def mem_alloc(self, size: int) -> Memory:
        self.memories.append(Memory(size))
        return self.memories[-1]

    def memcpy_htod_async(self, target: Memory, source: np.ndarray, stream: Any) -> None:
        target.bytes[: source.nbytes] = source.tobytes()

    def memcpy_dtoh_async(self, target: np.ndarray, source: Memory, stream: Any) -> None:
        target[...] = self.answer[: len(target)]


def install(trt: "ShadowModule", cuda: Cuda) -> None:
    """Let imports of TensorRT and pycuda find these."""
    trt.__version__ = tensorrt_bindings.__version__  # type: ignore[attr-defined]
    sys.modules["tensorrt"] = trt  # type: ignore[assignment]
    sys.modules["pycuda"] = sys.modules["pycuda.driver"] = cuda  # type: ignore[assignment]


def stage_answers(size_px: tuple[int, int], **changes: Any) -> Answers:
    """What TensorRT would answer of an engine that gives labels of that size."""
    shape = (1, *size_px, 3)
    labels = tensorrt_bindings.Dims(shape[:3])
    return answers(
        ITensor__shape=tensorrt_bindings.Dims(shape),
        ICudaEngine__get_tensor_shape=lambda n: tensorrt_bindings.Dims(shape) if n == "images" else labels,
        **changes,
    )


def publish(exported: Path, folder: Path, spoil: bool = False) -> dict[str, Any]:
    """Run stage `export.tensorrt` on an ONNX artifact, with a stub driver; what it wrote. `spoil` turns every label."""
    work, scratch = (folder / name for name in ("work", "scratch"))
    for made in (work, scratch):
        made.mkdir(parents=True)
    images_NHWC, labels_NHW = golden_of(exported)
    cuda = Cuda(labels_NHW ^ 1 if spoil else labels_NHW)
    trt = ShadowModule(stage_answers(images_NHWC.shape[1:3]))
    install(trt, cuda)
    lines: list[str] = []
    ctx = Context(work, scratch, "cuda", {}, lines.append, progress=lambda *arguments: nullcontext())  # type: ignore[arg-type, return-value]
    config = tensorrt.Config(forms=("fp32",), outputs=("labels",))
    try:
        outputs = tensorrt.run(ctx, {"export.onnx": exported}, config)
    except NetworkError as error:
        return {"error": str(error), "files": sorted(path.name for path in work.iterdir())}
    return {
        "files": sorted(path.name for path in work.iterdir()),
        "plan": (work / "student.fp32.labels.plan").read_text(),
        "sidecar": json.loads((work / "student.fp32.labels.plan.json").read_text()),
        "layers": json.loads((work / "student.fp32.labels.layers.json").read_text()),
        "kept timings": (scratch / "timing.cache").read_text(),
        "summary": dict(outputs.summary),
        "volatile": list(outputs.volatile),
        "log": lines,
        "cuda": cuda.calls,
        "all freed": all(memory.freed for memory in cuda.memories),
    }


def refusals(exported: Path, plan: Path) -> dict[str, str]:
    """What the runtime says to engines that are not this machine's, and to wrong calls."""
    images_NHWC, labels_NHW = golden_of(exported)
    said = {}

    def attempt(name: str, changes: dict[str, Any], **answer_changes: Any) -> None:
        install(ShadowModule(stage_answers(images_NHWC.shape[1:3], **answer_changes)), Cuda(labels_NHW))
        path = description_of(plan)
        original = path.read_text()
        path.write_text(json.dumps({**json.loads(original), **changes}))
        try:
            with TensorRTRuntime(plan) as runtime:
                runtime.predict(images_NHWC)
            said[name] = "accepted"
        except NetworkError as error:
            said[name] = str(error)
        finally:
            path.write_text(original)

    gpu = {"name": "Xavier", "compute_capability": "7.2", "cuda_version": "12.6"}
    options = json.loads(description_of(plan).read_text())["options"]
    attempt("as built", {})
    attempt("altered", {"sha256": "0" * 64})
    attempt("another gpu", {"gpu": gpu})
    attempt("another gpu, portable", {"gpu": gpu, "options": {**options, "hardware_compatible": True}})
    attempt("another version", {"tensorrt": "10.0.1"})
    attempt("unreadable", {}, Runtime__deserialize_cuda_engine=None)
    attempt("does not run", {}, IExecutionContext__execute_async_v3=False)
    attempt("wrong shape", {}, IExecutionContext__set_input_shape=False)
    return said


def profiled(exported: Path, plan: Path) -> dict[str, Any]:
    """A layer profile through the real base class of profilers."""
    images_NHWC, labels_NHW = golden_of(exported)
    trt = ShadowModule(stage_answers(images_NHWC.shape[1:3]))
    install(trt, Cuda(labels_NHW))
    profiler = make_profiler(tensorrt_bindings)
    profiler.report_layer_time("conv", 1.0)
    profiler.report_layer_time("conv", 0.5)
    with TensorRTRuntime(plan) as runtime:
        layers = runtime.profile(images_NHWC, runs=2)
        result, times = runtime.timed(images_NHWC)
    runtime.close()
    return {
        "totals": profiler.totals,
        "layers": layers,
        "times": asdict(times),
        "equal": bool((result == labels_NHW).all()),
        "calls": [call for call in trt.calls if "profiler" in call or "Context" in call],
    }


def monitored() -> list[str]:
    """What the real base class of progress monitors lets a build say."""
    lines: list[str] = []
    monitor = make_monitor(tensorrt_bindings, lines.append)
    monitor.phase_start("Building", "", 20)
    monitor.phase_start("inner", "Building", 20)
    kept = [monitor.step_complete(phase, step) for phase in ("Building", "inner") for step in range(20)]
    monitor.phase_finish("Building")
    assert all(kept)
    return lines


if __name__ == "__main__":
    exported, folder = Path(sys.argv[1]), Path(sys.argv[2])
    stage = publish(exported, folder / "good")
    plan = folder / "good" / "work" / "student.fp32.labels.plan"
    report = {
        "version": tensorrt_bindings.__version__,
        "good": build(),
        "fixed batch": build(ITensor__shape=tensorrt_bindings.Dims((1, 512, 1024, 3))),
        "parser fails": build(OnnxParser__parse=False),
        "builder fails": build(Builder__build_serialized_network=None),
        "profile refused": build(IBuilderConfig__add_optimization_profile=-1),
        "unreadable": build(Runtime__deserialize_cuda_engine=None),
        "half": build(EngineInspector__get_engine_information=layers("Half")),
        "foreign cache": build(IBuilderConfig__set_timing_cache=False),
        "wrong uses": wrong_uses(),
        "without gpu": without_gpu(),
        "fp16": build(Options("fp16", 512, (1, 1, 4)), EngineInspector__get_engine_information=layers("Half")),
        "int8": build(Options("int8-tensorrt", 512, (1, 1, 4)), EngineInspector__get_engine_information=layers("Int8")),
        "int8 that is fp32": build(Options("int8-tensorrt", 512, (1, 1, 4))),
        "portable": build(Options("fp32", 512, (1, 1, 4), version_compatible=True, hardware_compatible=True)),
        "dla": build(Options("fp32", 512, (1, 1, 4), dla_core=1)),
        "no dla": build(Options("fp32", 512, (1, 1, 4), dla_core=2)),
        "stage": stage,
        "spoiled": publish(exported, folder / "bad", spoil=True),
        "refusals": refusals(exported, plan),
        "profile": profiled(exported, plan),
        "progress": monitored(),
    }
    json.dump(report, sys.stdout)
