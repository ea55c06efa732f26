"""What `doctor` says of the runtimes that take exported files."""

import re
from collections.abc import Iterator

from export.tensorrt import available
from pipeline.doctor.ask import ask
from pipeline.doctor.finding import Finding, Level
from pipeline.facts import version
from pipeline.plan import Planner

CPU = "CPUExecutionProvider"
TENSORRT_INSTALL = 'pip install -e ".[tensorrt]" in the clone'
LOAD_ERROR = re.compile(r"with error: (.+?)(?:\x1b|\n|$)")
"""How onnxruntime's log says that a provider's library cannot be loaded."""


def examine(planner: Planner) -> Iterator[Finding]:
    """onnxruntime with every provider that it was built with, TensorRT, pycuda."""
    yield from onnxruntime()
    yield tensorrt(planner)
    if installed := version("pycuda"):
        yield pycuda(installed)


def onnxruntime() -> Iterator[Finding]:
    """One line for each provider: whether a session really runs on it."""
    answer = ask("export.doctor", "built_providers")
    if answer.fault:
        yield Finding("onnxruntime loads", Level.BROKEN, answer.fault, "install onnxruntime anew for this machine")
        return
    for provider in answer.value:
        yield execution_provider(provider)


def execution_provider(provider: str) -> Finding:
    """Whether onnxruntime runs a network of one operator on a provider."""
    answer = ask("export.doctor", "runs_on", provider)
    name = f"onnxruntime {provider.removesuffix('ExecutionProvider')}"
    if answer.value:
        return Finding(name, Level.OK, "runs")
    logged = LOAD_ERROR.search(answer.stderr)
    why = answer.fault or (logged[1].strip() if logged else "a session falls back to another provider")
    if provider == CPU:
        return Finding(name, Level.BROKEN, why, "install onnxruntime anew for this machine")
    return Finding(name, Level.MISSING, why, "needs its GPU and libraries; exported files run on the CPU")


def built_providers() -> list[str]:
    """The providers with which onnxruntime was built."""
    import onnxruntime

    return list(onnxruntime.get_available_providers())


def runs_on(provider: str) -> bool:
    """Whether a session of one operator gets the provider that it asks for."""
    import onnxruntime
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if provider != CPU:
        onnxruntime.preload_dlls()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=[provider])
    return bool(session.get_providers()[0] == provider)


def tensorrt(planner: Planner) -> Finding:
    """Whether TensorRT is installed, loads, and serves export.tensorrt on this machine."""
    installed = planner.facts["tensorrt"]
    if installed is None:
        return Finding(
            "TensorRT", Level.MISSING, "not installed", f"{TENSORRT_INSTALL}; engines are built on the target"
        )
    answer = ask("export.doctor", "tensorrt_version")
    if answer.fault:
        return Finding("TensorRT", Level.WARNING, f"{installed} does not load: {answer.fault}", TENSORRT_INSTALL)
    unavailable = available(planner.facts)
    if unavailable:
        return Finding("TensorRT", Level.MISSING, f"{answer.value} loads; export.tensorrt is skipped", unavailable)
    return Finding(
        "TensorRT", Level.OK, f"{answer.value}: export.tensorrt builds engines for {planner.facts['gpu_name']}"
    )


def tensorrt_version() -> str:
    """Version of TensorRT as it tells it."""
    import tensorrt

    return str(tensorrt.__version__)


def pycuda(installed: str) -> Finding:
    """Whether pycuda opens the driver."""
    answer = ask("export.doctor", "pycuda_devices")
    if answer.fault:
        return Finding("pycuda", Level.WARNING, f"{installed} opens no driver: {answer.fault}", TENSORRT_INSTALL)
    return Finding("pycuda", Level.OK, f"{installed} sees {answer.value} GPU(s)")


def pycuda_devices() -> int:
    """GPUs that pycuda opens."""
    import pycuda.driver

    pycuda.driver.init()
    return int(pycuda.driver.Device.count())
