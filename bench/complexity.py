"""Parameters, multiply-accumulates (MACs) and floating point operations of a network, counted without
computing.

The network is built and run on the meta device, where tensors have shapes and no values; one from outside the
catalogue is run on the CPU, since its code may read values. Every operator that multiplies and adds is seen by its
shapes and entered under the innermost module that runs. Two conventions, always named:

- `paper`: every parameter and the Conv2d MACs, auxiliary head included; transposed convolutions, matrix
  products and the upsampling of logits are not counted. The columns "Params" and "FLOPs" of the field's
  tables are these, although "FLOPs" there are MACs.
- `deployed`: the same without the auxiliary head, which does not ship.

FLOPs are two per MAC of every kind (Conv2d, transposed, matrix product) in the deployed network.

    python -m bench.complexity --net pspnet_resnet18 --width 0.5 --classes 19 --size 512x1024 --json
    python -m bench.complexity --net smp:Unet --arg encoder_name=mobilenet_v2
    python -m bench.complexity --table
"""

import json
import math
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.program import program
from pipeline.errors import NetworkError
from stages.nets.catalogue import build_unfilled, entry_of
from stages.nets.faults import one_line
from stages.nets.foreign import is_foreign
from stages.nets.keys import prefix

CONVENTION = (
    "params_with_aux and macs_with_aux: paper (every parameter, Conv2d multiply-accumulates only, auxiliary "
    "head included); params and macs: deployed (the same without the auxiliary head); flops: 2 per "
    "multiply-accumulate of all kinds, deployed; upsampling of logits not counted; activation_peak_mib: deployed, one "
    "image, operators one after the other as the network's code calls them, without what a kernel needs meanwhile"
)
KINDS = ("conv2d", "transposed_conv", "matmul")
MIB = 2**20
AUX = "aux_head"


@dataclass
class Layer:
    """What one module itself holds and computes, its children apart, for the images of one forward."""

    name: str
    """Path of the module, as a tap names it."""
    type: str
    params: int
    aux: bool
    """Whether it belongs to the auxiliary head."""
    macs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    """Multiply-accumulates by kind."""
    output: tuple[int, ...] | None = None
    """Shape of the last result that was counted here."""
    weight_elements: int = 0
    """Elements of parameters that the counted operators read."""
    activation_elements: int = 0
    """Elements that they read otherwise, and those that they write; they grow with the batch."""

    def divided(self, batch: int) -> "Layer":
        """The same for one image of a batch."""
        assert all(macs % batch == 0 for macs in self.macs.values()), "costs are proportional to the batch"
        macs = {kind: macs // batch for kind, macs in self.macs.items()}
        output = self.output and (self.output[0] // batch, *self.output[1:])
        return replace(self, macs=macs, output=output, activation_elements=self.activation_elements // batch)


@dataclass(frozen=True)
class Complexity:
    """Cost of a network for one image of `size_px` (height, width)."""

    size_px: tuple[int, int]
    layers: tuple[Layer, ...]
    activation_peak_bytes: int
    """Most that inputs, intermediate and final results take at once, the deployed part run in order."""

    def params(self, with_aux: bool = False) -> int:
        """Number of parameters."""
        return sum(layer.params for layer in self._counted(with_aux))

    def macs(self, kind: str, with_aux: bool = False) -> int:
        """Multiply-accumulates of one of `KINDS`."""
        return sum(layer.macs[kind] for layer in self._counted(with_aux))

    def to_json(self) -> dict[str, Any]:
        """Both conventions and the per-layer table as plain data."""
        macs = {kind: self.macs(kind) for kind in KINDS}
        return {
            "size": list(self.size_px),
            "convention": CONVENTION,
            "params": self.params(),
            "params_with_aux": self.params(with_aux=True),
            "macs": macs["conv2d"],
            "macs_with_aux": self.macs("conv2d", with_aux=True),
            "transposed_conv_macs": macs["transposed_conv"],
            "matmul_macs": macs["matmul"],
            "flops": 2 * sum(macs.values()),
            "activation_peak_mib": self.activation_peak_bytes / MIB,
            "layers": [asdict(layer) for layer in self.layers],
        }

    def _counted(self, with_aux: bool) -> Iterator[Layer]:
        return (layer for layer in self.layers if with_aux or not layer.aux)


def complexity(
    net: str, classes: int, size_px: tuple[int, int], args: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Cost of a network as plain data: `Complexity.to_json`, its name, classes, arguments.

    NetworkError for an unknown name or argument, or a size that the network cannot take.
    """
    args = dict(args or {})
    try:
        cost = count(build_unfilled(net, classes, args), size_px)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        size = f"{size_px[0]}x{size_px[1]}"
        raise NetworkError(
            f"{net} with {args} cannot take {size}: {one_line(error)}; change the size or the arguments"
        ) from error
    return {"net": net, "args": args, "classes": classes, **cost.to_json()}


def count(net: nn.Module, size_px: tuple[int, int]) -> Complexity:
    """Cost of a network, on its own device, for one 3-channel image of `size_px`.

    The deployed part is counted in eval mode with one image. The auxiliary head runs in train mode alone,
    where batch normalisation asks for two images; its counts are halved. The network is left in eval mode.
    """
    layers, peak_bytes = _run(net.eval(), size_px, batch=1)
    if getattr(net, AUX, None) is not None:
        training, _ = _run(net.train(), size_px, batch=2)
        layers.update({name: layer.divided(2) for name, layer in training.items() if layer.aux})
        net.eval()
    return Complexity(size_px, tuple(layers.values()), peak_bytes)


def _run(net: nn.Module, size_px: tuple[int, int], batch: int) -> tuple[dict[str, Layer], int]:
    """Layers of one forward pass by name, and the most bytes that its activations took at once."""
    head: Any = net.aux_head
    auxiliary = set(head.modules()) if head is not None else set()
    layers = {
        name: _layer(name.removeprefix(prefix(net)), module, module in auxiliary)
        for name, module in net.named_modules()
    }
    running: list[Layer] = []
    images_NCHW = torch.zeros(batch, 3, *size_px, device=next(net.parameters()).device)
    weights = {storage_of(tensor) for tensor in chain(net.parameters(), net.buffers())}
    with _tracked(net, layers, running), torch.no_grad(), Counting(running, weights, images_NCHW) as counting:
        net(images_NCHW)
    kept = {name: layer for name, layer in layers.items() if layer.params or any(layer.macs.values())}
    return kept, counting.peak_bytes


class Counting(TorchDispatchMode):
    """Enters the cost of each operator under the last of the `running` layers, and follows what is held at once.

    `weights`: storages of parameters and buffers, which are held anyway and read once for all images of a batch.
    """

    def __init__(self, running: Sequence[Layer], weights: set[int], images_NCHW: Tensor) -> None:
        super().__init__()
        self.running = running
        self.weights = weights
        self.peak_bytes = 0
        self._held: dict[StorageWeakRef, int] = {}
        self._hold(images_NCHW)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        counter = COUNTERS.get(func.overloadpacket)
        if counter is not None:
            made = result[0] if isinstance(result, tuple) else result
            kind, macs = counter(args, made)
            layer = self.running[-1]
            layer.macs[kind] += macs
            layer.output = tuple(made.shape)
            for tensor in (*(one for one in args if isinstance(one, Tensor)), made):
                if storage_of(tensor) in self.weights:
                    layer.weight_elements += tensor.numel()
                else:
                    layer.activation_elements += tensor.numel()
        self._hold(*(one for one in tree_leaves(result) if isinstance(one, Tensor)))
        return result

    def _hold(self, *made: Tensor) -> None:
        """Takes new results up and forgets what nothing refers to any more; views hold nothing of their own."""
        self._held = {storage: size for storage, size in self._held.items() if not storage.expired()}
        for tensor in made:
            if storage_of(tensor) not in self.weights:
                storage = tensor.untyped_storage()
                self._held[StorageWeakRef(storage)] = storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, sum(self._held.values()))


def storage_of(tensor: Tensor) -> int:
    """What identifies the memory that a tensor and its views share, also on the meta device."""
    return tensor.untyped_storage()._cdata


def _layer(name: str, module: nn.Module, aux: bool) -> Layer:
    own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
    return Layer(name or "(network)", type(module).__name__, own, aux)


@contextmanager
def _tracked(net: nn.Module, layers: Mapping[str, Layer], running: list[Layer]) -> Iterator[None]:
    """Keeps the stack of layers that run at the moment in `running`."""

    def leave(*_: Any) -> None:
        running.pop()

    handles = []
    for name, module in net.named_modules():
        layer = layers[name]
        handles.append(module.register_forward_pre_hook(lambda *_, layer=layer: running.append(layer)))
        handles.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def convolution_macs(args: tuple[Any, ...], result: Tensor) -> tuple[str, int]:
    """MACs of `aten.convolution(input, weight, bias, stride, padding, dilation, transposed, ...)`.

    The weight is (out, in / groups, kernel...), or (in, out / groups, kernel...) when transposed; every
    weight is used once for each output cell, or for each input cell when transposed.
    """
    inputs, weight, transposed = args[0], args[1], args[6]
    cells = inputs if transposed else result
    macs = cells.shape[0] * math.prod(cells.shape[2:]) * weight.numel()
    return ("transposed_conv" if transposed else "conv2d"), macs


def matmul_macs(args: tuple[Any, ...], result: Tensor) -> tuple[str, int]:
    """MACs of a product (... n k) x (... k m)."""
    return "matmul", result.numel() * args[0].shape[-1]


def attention_macs(args: tuple[Any, ...], result: Tensor) -> tuple[str, int]:
    """MACs of fused attention over queries (... l e), keys (... s e), values (... s v): both of its products."""
    query, key, value = args[:3]
    cells = math.prod(query.shape[:-1]) * key.shape[-2]
    return "matmul", cells * (query.shape[-1] + value.shape[-1])


Counter = Callable[[tuple[Any, ...], Tensor], tuple[str, int]]

COUNTERS: Mapping[Any, Counter] = {
    torch.ops.aten.convolution: convolution_macs,
    torch.ops.aten.mm: matmul_macs,
    torch.ops.aten.bmm: matmul_macs,
    torch.ops.aten.addmm: lambda args, result: matmul_macs(args[1:], result),
    torch.ops.aten.baddbmm: lambda args, result: matmul_macs(args[1:], result),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention_macs,
}
"""Operator -> function of its arguments and result that gives (kind, multiply-accumulates)."""


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


def parse_size(text: str) -> tuple[int, int]:
    """`HEIGHTxWIDTH` in pixels, e.g. `512x1024`; NetworkError for anything else."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text.strip().lower())
    if match is None:
        raise NetworkError(f"--size {text!r} is not HEIGHTxWIDTH in pixels, e.g. 512x1024")
    return int(match[1]), int(match[2])


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
        from bench.published import print_table

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

if __name__ == "__main__":
    sys.exit(main())
