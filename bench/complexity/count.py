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
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pipeline.errors import NetworkError
from stages.nets.catalogue import build_unfilled
from stages.nets.faults import one_line
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
