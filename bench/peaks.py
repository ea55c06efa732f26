"""What this machine can do at most: the rate of a large matrix product for each dtype, and of a large copy.

Each is the best of many calls, since a peak is what the machine can do when nothing is in the way.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

WIDTH_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}
"""Bytes an element, widest first."""
SIDES = {"cpu": (256, 512, 1024, 2048), "cuda": (1024, 2048, 4096, 8192)}
"""Sides of the square matrices, tried in this order while one product is short enough."""
COPY_BYTES = {"cpu": 128 * 2**20, "cuda": 512 * 2**20}
"""Size of the copied array: several times what caches hold."""
SECONDS = 0.5
"""Of measurement for each peak."""
CALLS_AT_LEAST = 4
"""Products that fit into the seconds of a peak, or a smaller matrix is taken."""
ERRORS_ONLY = 3
"""onnxruntime's log level."""


@dataclass(frozen=True)
class Peak:
    """The highest rate that a matrix product reached."""

    gflops: float
    """10^9 operations a second, an addition and a multiplication being two."""
    by: str
    """The library and the function."""
    side: int
    """Of the square matrices."""
    calls: int
    """Of which the quickest counts."""


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
        found = [torch_peak(dtype, device, seconds) for dtype in WIDTH_BYTES]
        if device == "cpu":
            found += [onnx_peak(dtype, threads, seconds) for dtype in ("float32", "int8")]
        peaks: dict[str, Peak] = {}
        for dtype, peak in (one for one in found if one is not None):
            if dtype not in peaks or peak.gflops > peaks[dtype].gflops:
                peaks[dtype] = peak
        return Roof(device, threads, peaks, copy_gb_s(device, seconds))


@contextmanager
def settings(threads: int) -> Iterator[None]:
    """Torch with so many threads and without TF32, as the candidates run; afterwards as it was."""
    before = torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.backends.cuda.matmul.allow_tf32 = before[1]


def torch_peak(dtype: str, device: str, seconds: float) -> tuple[str, Peak] | None:
    """Of torch's matrix product; None where this device has none for the dtype."""

    def product(side: int) -> Callable[[], object]:
        if dtype == "int8":
            # Signed; a GPU wants the second factor in columns.
            one = torch.ones(side, side, dtype=torch.int8, device=device)
            return lambda: torch._int_mm(one, one.t())
        made = torch.rand(side, side, device=device).to(getattr(torch, dtype))
        out = torch.empty_like(made)
        return lambda: torch.mm(made, made, out=out)

    try:
        return dtype, peak_of(product, f"torch {'_int_mm' if dtype == 'int8' else 'mm'}", device, seconds)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        # How torch says that it has no kernel; NotImplementedError is one too.
        return None


def onnx_peak(dtype: str, threads: int, seconds: float) -> tuple[str, Peak] | None:
    """Of onnxruntime's product on the CPU, int8 as MatMulInteger of uint8 and int8: its kernels differ from torch's."""
    operator = "MatMulInteger" if dtype == "int8" else "MatMul"

    def product(side: int) -> Callable[[], object]:
        session, feed = matmul_session(operator, side, threads)
        return lambda: session.run(None, feed)

    return dtype, peak_of(product, f"onnxruntime {operator}", "cpu", seconds)


def matmul_session(operator: str, side: int, threads: int) -> tuple[Any, dict[str, np.ndarray]]:
    """A graph of one product with constant weights, as a network's are, and what to feed it."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    integer = operator == "MatMulInteger"
    given, made = (TensorProto.UINT8, TensorProto.INT32) if integer else (TensorProto.FLOAT, TensorProto.FLOAT)
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (side, side), dtype=np.int8) if integer else rng.random((side, side), np.float32)
    image = rng.integers(0, 256, (side, side), dtype=np.uint8) if integer else rng.random((side, side), np.float32)
    graph = helper.make_graph(
        [helper.make_node(operator, ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", given, (side, side))],
        [helper.make_tensor_value_info("c", made, (side, side))],
        [numpy_helper.from_array(weights, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, ERRORS_ONLY
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session, {"a": image}


def peak_of(product: Callable[[int], Callable[[], object]], by: str, device: str, seconds: float) -> Peak:
    """Highest rate of `product(side)` over the largest matrices of which a few products fit into `seconds`."""
    chosen, call, calls = 0, None, 0
    best_s = float("inf")
    for side in SIDES[device]:
        # The last one took `best_s`; the next takes about eight times as long.
        if call is not None and 8 * best_s * CALLS_AT_LEAST > seconds:
            break
        chosen, call = side, product(side)
        best_s, calls = min(timed(call, device) for _ in range(2)), 2
    assert call is not None, "there is a first side"
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        best_s, calls = min(best_s, timed(call, device)), calls + 1
    return Peak(2 * chosen**3 / best_s / 1e9, by, chosen, calls)


def copy_gb_s(device: str, seconds: float) -> float:
    """Highest rate of torch's copy of a large array, the bytes read and the bytes written both counted.

    Where a CPU first loads the lines that it is going to overwrite, that third stream is not counted.
    """
    size = COPY_BYTES[device]
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    start, best_s = time.perf_counter(), float("inf")
    while best_s == float("inf") or time.perf_counter() - start < seconds:
        best_s = min(best_s, timed(lambda: target.copy_(source), device))
    return 2 * size / best_s / 1e9


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
