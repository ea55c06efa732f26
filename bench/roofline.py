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

    python -m bench.roofline
    python -m bench.roofline --net pspnet_resnet18 --size 512x1024 --threads 2
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click
import torch

from bench.complexity import complexity, parse_size
from bench.machine.environment import describe
from bench.peaks import SECONDS, WIDTH_BYTES, Roof, measure_roof
from bench.place import place
from bench.program import program
from pipeline.errors import NetworkError

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


def text_of(found: Mapping[str, Any]) -> str:
    """The roof, and the attainable time of a network where one was named."""
    roof = found["roof"]
    where = f"cpu, {roof['threads']} thread{'s' if roof['threads'] != 1 else ''}" if roof["device"] == "cpu" else "GPU"
    lines = [f"{where}; the best of all calls counts"]
    lines += [
        f"  {dtype:<10}{peak['gflops']:>10,.1f} GFLOP/s  {peak['by']}, {peak['what']}, {peak['calls']} calls"
        for dtype, peak in roof["peaks"].items()
    ]
    lines.append(f"  copy      {roof['copy_gb_s']:>10,.1f} GB/s     bytes read and bytes written")
    for one in found["networks"]:
        size = "x".join(map(str, one["size"]))
        lines.append(f"{one['net']}, {size}, batch {one['batch']}: at least")
        lines += [
            f"  {dtype:<10}{least['ms']:>10,.2f} ms       {least['bound']}-bound, "
            f"{least['flops'] / least['bytes']:.0f} FLOP a byte"
            for dtype, least in one["attainable"].items()
        ]
    return "\n".join(lines)


def network_roof(roof: Roof, cost: Mapping[str, Any], batch: int) -> dict[str, Any]:
    """Least time of a network (`bench.complexity`) on this machine for each dtype that was measured."""
    layers = cost["layers"]
    found = {}
    for dtype in roof.peaks:
        gflops = roof.gflops(dtype)
        assert gflops is not None, "the dtype was measured"
        least = attainable(layers, gflops, roof.copy_gb_s, WIDTH_BYTES[dtype], batch)
        found[dtype] = {**asdict(least), "bound": least.bound}
    return {**{name: cost[name] for name in ("net", "size", "classes")}, "batch": batch, "attainable": found}


@click.command()
@click.option("--device", type=click.Choice(("auto", "cpu", "cuda")), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads; torch's own choice where left out.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=SECONDS, show_default=True, help="A peak.")
@click.option("--net", "nets", multiple=True, help="Network whose least time is computed; may be repeated.")
@click.option("--size", default="512x1024", show_default=True, help="HEIGHTxWIDTH in pixels.")
@click.option("--classes", type=click.IntRange(1, 255), default=19, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the JSON document alone.")
def command(
    device: str,
    threads: int | None,
    seconds: float,
    nets: tuple[str, ...],
    size: str,
    classes: int,
    batch: int,
    as_json: bool,
) -> None:
    """Measure this machine's peaks and bandwidth; the last line is one JSON document."""
    gpu = torch.cuda.is_available()
    if device == "cuda" and not gpu:
        raise NetworkError("torch sees no GPU here; measure with --device cpu")
    chosen = device if device != "auto" else "cuda" if gpu else "cpu"
    size_px = parse_size(size)
    costs = [complexity(net, classes, size_px) for net in nets]
    used = threads or torch.get_num_threads()
    environment = describe(used)
    roof = measure_roof(chosen, used, seconds)
    found = {
        "schema_version": SCHEMA_VERSION,
        "roof": roof.to_json(),
        "networks": [network_roof(roof, cost, batch) for cost in costs],
        "environment": environment,
    }
    if not as_json:
        click.echo(text_of(found))
    click.echo(json.dumps(found))


main = program(command)

if __name__ == "__main__":
    sys.exit(main())
