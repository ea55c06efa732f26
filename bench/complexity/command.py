"""`python -m bench.complexity`: what a network costs, or all of them beside what papers print.

python -m bench.complexity --net pspnet_resnet18 --width 0.5 --classes 19 --size 512x1024 --json
python -m bench.complexity --net smp:Unet --arg encoder_name=mobilenet_v2
python -m bench.complexity --table
"""

import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bench.complexity.count import complexity
from bench.program import parse_size, program
from pipeline.errors import NetworkError
from stages.nets.catalogue import entry_of
from stages.nets.foreign import is_foreign


def table(cost: Mapping[str, Any]) -> str:
    """`complexity(...)` as text: one line a layer, then the totals under both conventions.

    Example line: `backbone.conv1  Conv2d  864  113,246,208  1x32x256x512`.
    """
    rows = [("layer", "type", "params", "MACs", "output")]
    for layer in cost["layers"]:
        total = f"{sum(layer['macs'].values()):,}"
        output = "x".join(str(length) for length in layer["output"] or ())
        rows.append((layer["name"], layer["type"], f"{layer['params']:,}", total, output))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {params:>{widths[2]}}  {macs:>{widths[3]}}  {output}"
        for name, kind, params, macs, output in rows
    ]
    size = "x".join(str(length) for length in cost["size"])
    args = "".join(f" {name}={value}" for name, value in cost["args"].items())
    totals = [
        f"{cost['net']}{args}, {cost['classes']} classes, {size}",
        f"  paper     {cost['params_with_aux']:>15,} params  {cost['macs_with_aux']:>19,} Conv2d MACs",
        f"  deployed  {cost['params']:>15,} params  {cost['macs']:>19,} Conv2d MACs",
        f"  apart     {cost['transposed_conv_macs']:,} transposed-convolution MACs, "
        f"{cost['matmul_macs']:,} matrix-product MACs",
        f"  flops     {cost['flops']:,} (2 per MAC of all kinds, deployed)",
        f"  held      {cost['activation_peak_mib']:.1f} MiB of activations at once, one image, float32",
    ]
    return "\n".join(line.rstrip() for line in [*lines, "", *totals])


@click.command()
@click.option("--net", help="Name in the catalogue, e.g. pspnet_resnet18; torchvision:NAME, smp:NAME, module:function.")
@click.option("--table", "with_table", is_flag=True, help="All networks beside their published figures, in Markdown.")
@click.option("--update", type=click.Path(path_type=Path, exists=True), help="With --table: put it into this file too.")
@click.option("--width", type=float, help="Width multiplier of a PSPNet.")
@click.option("--p", type=int, help="ESPNet: modules at 1/4 of the input's size.")
@click.option("--q", type=int, help="ESPNet: modules at 1/8 of the input's size.")
@click.option("--arg", "extra", multiple=True, metavar="NAME=VALUE", help="Any other argument of the network.")
@click.option("--classes", type=click.IntRange(1, 255), default=19, show_default=True)
@click.option("--size", default="512x1024", show_default=True, help="HEIGHTxWIDTH in pixels.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    net: str | None,
    with_table: bool,
    update: Path | None,
    classes: int,
    size: str,
    as_json: bool,
    extra: tuple[str, ...],
    **args: float | None,
) -> None:
    """Count parameters, MACs and FLOPs of a network, per layer and in total."""
    if with_table == bool(net) or (update and not with_table):
        raise click.UsageError("give --net NAME, or --table and perhaps --update FILE")
    if with_table:
        from bench.complexity.published import print_table

        print_table(as_json, update)
        return
    assert net is not None
    given = {name: value for name, value in args.items() if value is not None} | dict(map(parse_arg, extra))
    if not math.isfinite(args["width"] or 1.0):
        raise NetworkError(f"--width {args['width']} is no number; give a factor above 0, e.g. 0.5")
    cost = complexity(net, classes, parse_size(size), given)
    has_width = not is_foreign(net) and "width" in entry_of(net).accepts
    cost["width"] = given.get("width", 1.0) if has_width else None
    click.echo(json.dumps(cost) if as_json else table(cost))


def parse_arg(text: str) -> tuple[str, Any]:
    """`name=value`, the value being TOML or else a plain string; NetworkError for anything else."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise NetworkError(f"--arg {text}: write it as NAME=VALUE, e.g. encoder_name=resnet18")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


main = program(command)
