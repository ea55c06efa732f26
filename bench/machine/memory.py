"""Peak memory of a candidate: what one process more needs to load it and to infer twice.

Every candidate gets a fresh process, since allocators keep what they once had. The process imports the runtime's
library, notes what it holds, loads the network, infers twice (the first call allocates what the others reuse), and
tells the most that it held beyond the note:

- on a CPU, resident memory: the weights, the activations, the workspaces and what the runtime keeps for itself. A
  library's own code is not in it, and a file's pages count where it is mapped. Linux alone tells it.
- on a GPU, memory that the driver no longer has free: what runs beside it takes part, so measure on an idle GPU. The
  context of CUDA is not in it. Runtimes keep what they allocated, so that this is the peak.

    python -m bench.machine.memory REQUEST          what `measure_peak` starts; REQUEST is a `Request` as JSON

Python 3.10: it travels to boards.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.deploy.gpu import check, driver, open_device

KIB_PER_MIB = 2**10
MIB = 2**20
INFERENCES = 2
TIMEOUT_S = 600
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Request:
    """How a process of its own opens a candidate and what it is fed."""

    opener: str
    """`module:function`; importing the module imports the runtime's library, the function returns a `Runtime` unless
    there are `feeds`."""
    arguments: Mapping[str, Any]
    """Of the function; plain data."""
    shape: tuple[int, ...]
    """N x H x W x 3 of the pictures; not looked at where there are `feeds`."""
    device: str
    """`cpu` or `cuda`."""
    imports: str | None = None
    """`module:function` of the same arguments that imports what opening would import only then; None for nothing."""
    feeds: Mapping[str, str] | None = None
    """Path of a .npy file for each input, by name: the function returns a `Network`, which runs them. None for
    pictures."""


class MemoryUnknown(Exception):
    """There is no figure; the text says why."""


def add_peak(row: dict[str, Any], measured: Callable[[], float]) -> None:
    """Fills in a row's `peak_mib`; where it cannot be told, that stays as it is and a warning says why."""
    try:
        row["peak_mib"] = measured()
    except (MemoryUnknown, OSError) as error:
        row["warnings"].append(f"peak memory not measured: {error}")


def measure_peak(request: Request) -> float:
    """MiB at the peak beyond the imported library; MemoryUnknown where it cannot be told. Takes seconds."""
    if request.device == "cpu" and not STATUS.exists():
        raise MemoryUnknown("this system does not tell the peak of resident memory (Linux does)")
    command = [sys.executable, "-m", "bench.machine.memory", json.dumps(asdict(request))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment())
    except subprocess.TimeoutExpired as error:
        raise MemoryUnknown(f"two inferences in a process of their own took more than {TIMEOUT_S} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        killed = f"the process ended with code {done.returncode}"
        raise MemoryUnknown(lines[-1] if lines else killed)
    return float(json.loads(done.stdout.splitlines()[-1])["peak_mib"])


def environment() -> dict[str, str]:
    """This process's environment with its import path: a bundle's programs have theirs from no variable."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}


def peak_here(request: Request) -> float:
    """MiB of the peak in this process, which must be fresh."""
    opener = function_of(request.opener)
    if request.imports:
        function_of(request.imports)(**request.arguments)
    infer = inference_of(request)
    before = held_mib(request.device)
    model = opener(**request.arguments)
    for _ in range(INFERENCES):
        infer(model)
    after = peak_mib(request.device)
    model.close()
    return max(after - before, 0.0)


def inference_of(request: Request) -> Callable[[Any], object]:
    """One inference of the open model; what goes in is made here, before anything is noted."""
    if request.feeds is not None:
        arrays = {name: np.load(path) for name, path in request.feeds.items()}
        return lambda network: network.run(arrays)
    images_NHWC = np.zeros(request.shape, dtype=np.uint8)
    return lambda runtime: runtime.predict(images_NHWC)


def function_of(name: str) -> Callable[..., Any]:
    """What `module:function` names."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def held_mib(device: str) -> float:
    """What is held now: by this process, or by all on the GPU."""
    return gpu_used_mib() if device == "cuda" else status_mib(STATUS.read_text(), "VmRSS")


def peak_mib(device: str) -> float:
    """The most that was held so far; on the GPU what is held now, since runtimes give nothing back.

    VmHWM and not ru_maxrss: a process that was started by a large one inherits the latter's ru_maxrss.
    """
    return gpu_used_mib() if device == "cuda" else status_mib(STATUS.read_text(), "VmHWM")


def status_mib(status: str, name: str) -> float:
    """MiB of a line like `VmHWM:     1234 kB` of /proc/self/status."""
    for line in status.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) / KIB_PER_MIB
    raise MemoryUnknown(f"/proc/self/status has no {name}")


def gpu_used_mib() -> float:
    """Memory of GPU 0 that its driver has given to anyone; opens the context that every runtime shares."""
    cuda = driver()
    context, free, total = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t()
    check("cuDevicePrimaryCtxRetain", cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), open_device(cuda, 0)))
    check("cuCtxPushCurrent", cuda.cuCtxPushCurrent_v2(context))
    try:
        check("cuMemGetInfo", cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)))
    finally:
        cuda.cuCtxPopCurrent_v2(ctypes.byref(context))
    return (total.value - free.value) / MIB


def main(arguments: list[str]) -> int:
    """One request: a JSON document with the peak, or one line on stderr and exit code 1."""
    try:
        asked = json.loads(arguments[0])
        peak = peak_here(Request(**{**asked, "shape": tuple(asked["shape"])}))
    except Exception as error:
        # Any fault of a runtime is a reason and no traceback: it becomes a note beside the row.
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    print(json.dumps({"peak_mib": peak}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
