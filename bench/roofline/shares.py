"""Roofline: what this machine can do at most, and how much of that each model gets.

Measured here, never taken from a data sheet: the rate of large matrix products and convolutions for each dtype, and of
a large copy. Each is the best of many calls, since a peak is what the machine can do when nothing is in the way.

A layer that does F floating point operations (2 for each multiply-accumulate) and moves B bytes takes at least
max(F / peak, B / bandwidth); B is its weights read once, its inputs read once and its result written once, all at the
width of the dtype. A network's attainable time is the sum over its layers, since they run one after the other. The
roofline of the whole network (Williams, Waterman and Patterson 2009: min(peak, intensity x bandwidth)) would let the
traffic of one layer hide behind the arithmetic of another, which no runtime does; layer by layer the bound is tighter
and says where the time must go.

    share = attainable time / measured time (p50)
    bound = `compute` or `memory`: which of the two takes most of the attainable time

What is not counted makes the attainable time shorter than any runtime reaches: activation functions, additions,
pooling, the upsampling and the argmax of the logits are taken as fused into the layer before. What may make it longer:
a convolution by Winograd's method needs fewer multiplications than are counted, and caches may keep what one layer
writes for the next to read. A share above 1 means one of these, not a fault.

A file in a low precision may always compute in a wider one, so its peak is the best of its own dtype and of those that
are wider; its bytes are those of its own dtype.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.place import place
from bench.roofline.peaks import WIDTH_BYTES, Roof

SCHEMA_VERSION = 1
FORM_DTYPES = {"fp32": "float32", "fp16": "float16", "int8-cpu": "int8", "int8-tensorrt": "int8"}
"""Exported form -> the dtype that it computes in."""


@dataclass(frozen=True)
class Attainable:
    """The least time that a network can take for one inference, in milliseconds."""

    ms: float
    compute_ms: float
    """Part of it in layers that arithmetic bounds; the rest is in layers that memory bounds."""
    flops: int
    bytes: int

    @property
    def bound(self) -> str:
        """What most of the time goes to."""
        return "compute" if 2 * self.compute_ms >= self.ms else "memory"


def attainable(layers: Sequence[Mapping[str, Any]], gflops: float, gb_s: float, width: int, batch: int) -> Attainable:
    """Sum over the deployed layers of `bench.complexity`, at `width` bytes an element, for `batch` images.

    `gflops` and `gb_s` in 10^9 a second, above 0.
    """
    total_ms = compute_ms = 0.0
    total_flops = total_bytes = 0
    for layer in layers:
        if layer["aux"]:
            continue
        flops = 2 * batch * sum(layer["macs"].values())
        moved = width * (layer["weight_elements"] + batch * layer["activation_elements"])
        arithmetic_ms, memory_ms = flops / gflops / 1e6, moved / gb_s / 1e6
        total_ms += max(arithmetic_ms, memory_ms)
        compute_ms += arithmetic_ms if arithmetic_ms >= memory_ms else 0.0
        total_flops, total_bytes = total_flops + flops, total_bytes + moved
    return Attainable(total_ms, compute_ms, total_flops, total_bytes)


def dtype_of(row: Mapping[str, Any]) -> str:
    """Dtype that a row of a latency table computes in, by the form that its file's name tells; torch is fp32."""
    parts = (row["file"] or "").split(".")
    return next((FORM_DTYPES[part] for part in parts if part in FORM_DTYPES), "float32")


def shares(
    roof: Roof, rows: Sequence[Mapping[str, Any]], costs: Mapping[str, Mapping[str, Any]], batch: int
) -> list[dict[str, Any]]:
    """Share of the attainable rate of each measured inference; `costs` by role, of one image of the measured size.

    A row that computed elsewhere than the roof was measured (OpenVINO in a run on a GPU) has none.
    """
    return [
        share_of(roof, row, costs[row["role"]]["layers"], batch)
        for row in rows
        if row["status"] == "ok" and row["role"] in costs and row.get("quantity", "inference") == "inference"
        and place(row["runtime"], roof.device) == roof.device
    ]  # fmt: skip


def share_of(roof: Roof, row: Mapping[str, Any], layers: Sequence[Mapping[str, Any]], batch: int) -> dict[str, Any]:
    """One measured row beside what it could reach."""
    dtype, p50_ms = dtype_of(row), row["statistics"]["p50_ms"]
    gflops = roof.gflops(dtype)
    assert gflops is not None, "every machine multiplies in float32, which all others may use"
    least = attainable(layers, gflops, roof.copy_gb_s, WIDTH_BYTES[dtype], batch)
    return {
        "name": row["name"],
        "dtype": dtype,
        "share": least.ms / p50_ms,
        "bound": least.bound,
        "compute_share": least.compute_ms / least.ms,
        "attainable_ms": least.ms,
        "p50_ms": p50_ms,
        "attainable_gflops": least.flops / least.ms / 1e6,
        "attained_gflops": least.flops / p50_ms / 1e6,
        "flops_per_byte": least.flops / least.bytes,
    }
