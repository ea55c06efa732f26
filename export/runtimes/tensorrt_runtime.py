"""A TensorRT engine with pycuda. Python 3.10: it travels to boards.

One object owns everything: the primary context of the GPU, one stream, the pinned host buffers and the device
buffers. `close` gives them back, the last first.
"""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

import numpy as np

from export.deploy.engine_file import read_engine
from export.deploy.gpu import GpuError, describe_gpu
from export.runtimes.protocol import GpuTimes, TensorSpec, check_input
from pipeline.errors import NetworkError

DYNAMIC = -1


def library(name: str, how: str) -> Any:
    """A module that only some machines have; NetworkError that says how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NetworkError(f"{name} cannot be imported ({error}): {how}") from error


class Buffer:
    """A pinned host array and device memory of the same size."""

    def __init__(self, cuda: Any, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.host = cuda.pagelocked_empty(shape, dtype)
        self.device = cuda.mem_alloc(self.host.nbytes)

    def free(self) -> None:
        """Give the device memory back; the pinned array goes with the object."""
        self.device.free()


class TensorRTRuntime:
    """Runs an engine file on the GPU on which it was built; NetworkError for any other.

    `batch`: largest number of images a call, for an engine whose batch is dynamic; the buffers are of that size.
    """

    def __init__(self, plan: Path, batch: int = 1) -> None:
        self._trt = library("tensorrt", "install TensorRT 10.3 or later, before 12")
        cuda = library("pycuda.driver", "pip install pycuda, which needs the CUDA toolkit's nvcc")
        try:
            gpu = describe_gpu()
        except GpuError as error:
            raise NetworkError(f"no GPU for {plan.name}: {error}") from error
        content, description = read_engine(plan, gpu, self._trt.__version__)
        self._file = plan.name
        self._buffers: list[Buffer] = []
        self._cuda: Any = cuda
        cuda.init()
        # The primary context is the one that torch and onnxruntime use as well.
        self._context = cuda.Device(0).retain_primary_context()
        self._context.push()
        try:
            self._open(content, description, batch)
        except BaseException:
            self.close()
            raise

    def _open(self, content: bytes, description: dict[str, Any], batch: int) -> None:
        """Deserialise the engine, make its execution context, stream, events and buffers."""
        trt, cuda = self._trt, self._cuda
        self._logger = trt.Logger(trt.Logger.WARNING)
        self._runtime = trt.Runtime(self._logger)
        if description["options"]["version_compatible"]:
            # Such an engine brings code for the host along; its digest was checked.
            self._runtime.engine_host_code_allowed = True
        self._engine = self._runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            raise NetworkError(f"TensorRT cannot load {self._file}: build it again")
        self._execution = self._engine.create_execution_context()
        self._stream = cuda.Stream()
        self._events = tuple(cuda.Event() for _ in range(4))
        self.input, self.output = (spec_of(description[side]) for side in ("input", "output"))
        self.name = f"TensorRT {trt.__version__} {description['gpu']['name']}"
        self._in, self._out = (self._buffer(spec, batch) for spec in (self.input, self.output))

    def _buffer(self, spec: TensorSpec, batch: int) -> Buffer:
        shape = tuple(size if isinstance(size, int) else batch for size in spec.shape)
        buffer = Buffer(self._cuda, shape, np.dtype(spec.dtype))
        self._buffers.append(buffer)
        if not self._execution.set_tensor_address(spec.name, int(buffer.device)):
            raise NetworkError(f"TensorRT refuses the memory for {spec.name} of {self._file}")
        return buffer

    def predict(self, images_NHWC: np.ndarray) -> np.ndarray:
        """As `Runtime.predict`, for up to `batch` images where the engine's batch is dynamic."""
        return self.timed(images_NHWC)[0]

    def timed(self, images_NHWC: np.ndarray) -> tuple[np.ndarray, GpuTimes]:
        """The result, and where the time went by events around each part on the GPU."""
        assert self._context is not None, "a closed runtime cannot predict"
        check_input(images_NHWC, self.input, self._file)
        count = len(images_NHWC)
        if count > len(self._in.host):
            raise NetworkError(f"{self._file} was opened for {len(self._in.host)} images a call, not {count}")
        cuda, stream, (began, start, end, done) = self._cuda, self._stream, self._events
        self._in.host[:count] = images_NHWC
        if not self._execution.set_input_shape(self.input.name, images_NHWC.shape):
            raise NetworkError(f"{self._file} was not built for {count} images a call")
        began.record(stream)
        cuda.memcpy_htod_async(self._in.device, self._in.host[:count], stream)
        start.record(stream)
        before_s = time.perf_counter()
        if not self._execution.execute_async_v3(stream.handle):
            raise NetworkError(f"TensorRT could not run {self._file}")
        enqueue_ms = 1000 * (time.perf_counter() - before_s)
        end.record(stream)
        result = self._out.host[:count]
        cuda.memcpy_dtoh_async(result, self._out.device, stream)
        done.record(stream)
        stream.synchronize()
        times = (float(first.time_till(last)) for first, last in ((start, end), (began, start), (end, done)))
        compute_ms, to_device_ms, to_host_ms = times
        # The pinned array is written again by the next call.
        return result.copy(), GpuTimes(compute_ms, enqueue_ms, to_device_ms, to_host_ms)

    def profile(self, images_NHWC: np.ndarray, runs: int) -> list[dict[str, Any]]:
        """Mean milliseconds of each layer over `runs` inferences, in the engine's order: `name`, `ms`."""
        profiler = make_profiler(self._trt)
        self._execution.profiler = profiler
        for _ in range(runs):
            self.predict(images_NHWC)
        return [{"name": name, "ms": total / runs} for name, total in profiler.totals.items()]

    def close(self) -> None:
        """Free the buffers and the engine, and release the GPU's primary context; twice is once."""
        if self._context is None:
            return
        for buffer in reversed(self._buffers):
            buffer.free()
        self._buffers.clear()
        for name in ("_in", "_out", "_events", "_stream", "_execution", "_engine", "_runtime", "_logger"):
            self.__dict__.pop(name, None)
        self._context.pop()
        self._context.detach()
        self._context = None

    def __enter__(self) -> TensorRTRuntime:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_engine(path: str, batch: int = 1) -> TensorRTRuntime:
    """An engine's file by its name as text, as a process of its own is told it."""
    return TensorRTRuntime(Path(path), batch)


def make_profiler(trt: Any) -> Any:
    """A profiler that adds up the milliseconds of each layer."""

    class Profiler(trt.IProfiler):
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.totals: dict[str, float] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            """TensorRT's call for each layer of a run."""
            self.totals[layer_name] = self.totals.get(layer_name, 0.0) + ms

    return Profiler()


def spec_of(tensor: dict[str, Any]) -> TensorSpec:
    """An input or output of an engine's description; -1 is a batch that may vary."""
    shape = tuple("batch" if size == DYNAMIC else size for size in tensor["shape"])
    return TensorSpec(tensor["name"], tensor["dtype"], shape)
