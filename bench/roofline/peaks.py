"""What this machine can do at most: the rate of large matrix products and convolutions for each dtype, and of a copy.

Each is the best of many calls over a few sizes, since a peak is what the machine can do when nothing is in the way. A
library's convolution may be quicker than its matrix product, so that networks would be found above 100 % of the latter.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

WIDTH_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}
"""Bytes an element, widest first."""
SIDES = {"cpu": (256, 512, 1024, 2048), "cuda": (1024, 2048, 4096, 8192)}
"""Sides of the square matrices, tried in this order while one product is short enough."""
CONVOLUTIONS = {"cpu": ((1, 256, 16), (1, 128, 32), (1, 256, 32)), "cuda": ((16, 256, 64), (16, 512, 64))}
"""Batch, channels in and out, height and width of 3 x 3 convolutions."""
TAPS = 9
COPY_BYTES = {"cpu": 128 * 2**20, "cuda": 512 * 2**20}
"""Size of the copied array: several times what caches hold."""
SECONDS = 0.5
"""Of measurement for each peak."""
CALLS_AT_LEAST = 3
"""Calls of the largest size that fit into the seconds of a peak, or it is not tried."""
ERRORS_ONLY = 3
"""onnxruntime's log level."""


@dataclass(frozen=True)
class Peak:
    """The highest rate that a product or a convolution reached."""

    gflops: float
    """10^9 operations a second, an addition and a multiplication being two."""
    by: str
    """The library and the function."""
    what: str
    """Sizes of the quickest."""
    calls: int
    """Of all sizes, of which the quickest counts."""


@dataclass(frozen=True)
class Work:
    """A call of which the operations are known."""

    what: str
    flops: int
    call: Callable[[], object]


@dataclass(frozen=True)
class Roof:
    """What a machine can do at most."""

    device: str
    threads: int
    peaks: Mapping[str, Peak]
    """By dtype; one that no library offers here is absent."""
    copy_gb_s: float
    """10^9 bytes a second, those read and those written counted alike."""

    def gflops(self, dtype: str) -> float | None:
        """Best of the dtype and of the wider ones; None where nothing that it could run in was measured."""
        width = WIDTH_BYTES[dtype]
        usable = [peak.gflops for name, peak in self.peaks.items() if name == dtype or WIDTH_BYTES[name] > width]
        return max(usable, default=None)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def measure_roof(device: str, threads: int, seconds: float = SECONDS) -> Roof:
    """Peaks and bandwidth of `device` (`cpu` or `cuda`), `seconds` for each.

    A CPU's peaks are the best of torch and onnxruntime where both offer the dtype: a model in either is held to them.
    """
    with settings(threads):
        peaks: dict[str, Peak] = {}
        for dtype, by, works in candidates(device, threads):
            peak = peak_of(works, by, device, seconds)
            if peak is not None and (dtype not in peaks or peak.gflops > peaks[dtype].gflops):
                peaks[dtype] = peak
        return Roof(device, threads, peaks, copy_gb_s(device, seconds))


def candidates(device: str, threads: int) -> Iterator[tuple[str, str, Iterator[Work]]]:
    """(dtype, library and function, what it computes from small to large) of all that may reach a peak."""
    for dtype in WIDTH_BYTES:
        yield dtype, f"torch {'_int_mm' if dtype == 'int8' else 'mm'}", torch_products(dtype, device)
        if dtype != "int8":
            yield dtype, "torch conv2d", torch_convolutions(dtype, device)
    if device == "cpu":
        yield "float32", "onnxruntime MatMul", onnx_products("MatMul", threads)
        yield "float32", "onnxruntime Conv", onnx_convolutions(threads)
        yield "int8", "onnxruntime MatMulInteger", onnx_products("MatMulInteger", threads)


@contextmanager
def settings(threads: int) -> Iterator[None]:
    """Torch with so many threads and without TF32, as the candidates run; afterwards as it was."""
    before = torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before[1:]


def torch_products(dtype: str, device: str) -> Iterator[Work]:
    """Square matrices times themselves."""
    for side in SIDES[device]:
        if dtype == "int8":
            # Signed; a GPU wants the second factor in columns.
            one = torch.ones(side, side, dtype=torch.int8, device=device)
            yield product(side, partial(torch._int_mm, one, one.t()))
        else:
            made = torch.rand(side, side, device=device).to(getattr(torch, dtype))
            yield product(side, partial(torch.mm, made, made, out=torch.empty_like(made)))


def torch_convolutions(dtype: str, device: str) -> Iterator[Work]:
    """In the memory format in which torch's are quickest."""
    for batch, channels, side in CONVOLUTIONS[device]:
        shapes = (batch, channels, side, side), (channels, channels, 3, 3)
        images, kernel = (
            torch.rand(shape, device=device).to(getattr(torch, dtype), memory_format=torch.channels_last)
            for shape in shapes
        )
        yield convolution(batch, channels, side, partial(torch.conv2d, images, kernel, padding=1))


def onnx_products(operator: str, threads: int) -> Iterator[Work]:
    """MatMul of float32, or MatMulInteger of uint8 and int8: onnxruntime's kernels differ from torch's."""
    from onnx import TensorProto

    integer = operator == "MatMulInteger"
    given, made = (TensorProto.UINT8, TensorProto.INT32) if integer else (TensorProto.FLOAT, TensorProto.FLOAT)
    rng = np.random.default_rng(0)
    for side in SIDES["cpu"]:
        shape = (side, side)
        if integer:
            weights, image = rng.integers(-127, 128, shape, np.int8), rng.integers(0, 256, shape, np.uint8)
        else:
            weights, image = rng.random(shape, np.float32), rng.random(shape, np.float32)
        yield product(side, onnx_call(operator, image, weights, (given, made), threads))


def onnx_convolutions(threads: int) -> Iterator[Work]:
    """Conv of float32."""
    from onnx import TensorProto

    rng = np.random.default_rng(0)
    for batch, channels, side in CONVOLUTIONS["cpu"]:
        images = rng.random((batch, channels, side, side), np.float32)
        kernel = rng.random((channels, channels, 3, 3), np.float32)
        call = onnx_call("Conv", images, kernel, (TensorProto.FLOAT, TensorProto.FLOAT), threads, pads=[1, 1, 1, 1])
        yield convolution(batch, channels, side, call)


def onnx_call(
    operator: str, fed: np.ndarray, weights: np.ndarray, types: tuple[int, int], threads: int, **attributes: Any
) -> Callable[[], object]:
    """A graph of one operator with constant weights, as a network's are; the result has the shape of what is fed."""
    import onnxruntime
    from onnx import helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node(operator, ["a", "b"], ["c"], **attributes)],
        "peak",
        [helper.make_tensor_value_info("a", types[0], fed.shape)],
        [helper.make_tensor_value_info("c", types[1], fed.shape)],
        [numpy_helper.from_array(weights, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, ERRORS_ONLY
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return partial(session.run, None, {"a": fed})


def product(side: int, call: Callable[[], object]) -> Work:
    """Two square matrices."""
    return Work(f"{side} x {side}", 2 * side**3, call)


def convolution(batch: int, channels: int, side: int, call: Callable[[], object]) -> Work:
    """3 x 3, as many channels out as in, maps of one size."""
    of = f"{batch} x " if batch > 1 else ""
    return Work(f"3 x 3, {channels} channels, {of}{side} x {side}", 2 * TAPS * batch * (channels * side) ** 2, call)


def peak_of(works: Iterable[Work], by: str, device: str, seconds: float) -> Peak | None:
    """Highest rate of all works of which a few calls fit into `seconds`, the first in any case.

    None where this device has no kernel for them, or the library is not there.
    """
    best: Work | None = None
    rate, calls = 0.0, 0
    try:
        for work in works:
            if best is not None and work.flops / rate * CALLS_AT_LEAST > seconds:
                break
            least_s, made = quickest(work.call, device, seconds / len(SIDES[device]))
            calls += made
            if work.flops / least_s > rate:
                best, rate = work, work.flops / least_s
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception:
        # No kernel: torch says so by a RuntimeError, onnxruntime by errors whose base is Exception. Or no library.
        return None
    assert best is not None, "there is a first size"
    return Peak(rate / 1e9, by, best.what, calls)


def quickest(call: Callable[[], object], device: str, seconds: float) -> tuple[float, int]:
    """(least seconds, calls) of as many calls as fit into `seconds`, two after a first that counts for nothing."""
    call()
    start, taken = time.perf_counter(), [timed(call, device), timed(call, device)]
    while time.perf_counter() - start < seconds:
        taken.append(timed(call, device))
    return min(taken), len(taken)


def copy_gb_s(device: str, seconds: float) -> float:
    """Highest rate of torch's copy of a large array, the bytes read and the bytes written both counted.

    Where a CPU first loads the lines that it is going to overwrite, that third stream is not counted.
    """
    size = COPY_BYTES[device]
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    least_s, _ = quickest(lambda: target.copy_(source), device, seconds)
    return 2 * size / least_s / 1e9


def timed(call: Callable[[], object], device: str) -> float:
    """Seconds of a call: by the host's clock, or between two events on the GPU."""
    if device == "cpu":
        start = time.perf_counter()
        call()
        return time.perf_counter() - start
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    call()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3
