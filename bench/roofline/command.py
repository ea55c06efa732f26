"""`python -m bench.roofline`: what this machine can do at most, and the least time that a network can take on it.

python -m bench.roofline
python -m bench.roofline --net pspnet_resnet18 --size 512x1024 --threads 2
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click
import torch

from bench.complexity.count import complexity
from bench.machine.environment import describe
from bench.program import parse_size, program
from bench.roofline.peaks import SECONDS, WIDTH_BYTES, Roof, measure_roof
from bench.roofline.shares import attainable
from pipeline.errors import NetworkError

SCHEMA_VERSION = 1


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
