"""Maps from inside a network, by the path of the module that gives them."""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import NetworkError
from stages.nets.catalogue import NetSpec
from stages.nets.keys import own_modules


class Tap:
    """Keeps the output of one module until the network's forward ends."""

    def __init__(self, name: str, path: str, stride: int | None) -> None:
        self.name = name
        self.path = path
        self.stride = stride
        self.copies = False
        """Whether a later module overwrites the map in place, so that it must be copied."""
        self.map: Any = None
        self.version: int | None = None

    def keep(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Forward hook of the module; where it runs more than once, the last output stays."""
        self.map = output.clone() if self.copies else output
        self.version = self.map._version if isinstance(self.map, Tensor) and not self.map.is_inference() else None

    def take(self, images_NCHW: Tensor) -> Tensor:
        """The map, at the tap's stride where it has one; the tap is empty again."""
        map_NChw: Tensor = self.map
        self.map = None
        return at_stride(map_NChw, images_NCHW, self.stride)


def at_stride(map_NChw: Tensor, images_NCHW: Tensor, stride: int | None) -> Tensor:
    """The map at one cell for `stride` pixels of the images; as it is where that is None."""
    if stride is None:
        return map_NChw
    size = [math.ceil(length / stride) for length in images_NCHW.shape[-2:]]
    if list(map_NChw.shape[-2:]) == size:
        return map_NChw
    return F.interpolate(map_NChw, size=size, mode="bilinear", align_corners=True)


def add_taps(net: nn.Module, spec: NetSpec, wanted: Iterable[str], size_px: tuple[int, int]) -> None:
    """Make every tap of `wanted` one of the network's outputs, and enter its width into `tap_channels`.

    A name is one of the network's own taps, one of `spec.taps`, or the path of a module. Widths are found by one
    forward of an image of `size_px` (height, width). `spec.tap_stride` resizes them, the network's own taps as well,
    but never `logits` and `aux`. NetworkError for a path that does not exist, with the nearest
    that do, and for a module that does not give one map N x C x h x w.
    """
    widths: dict[str, int] = net.tap_channels  # type: ignore[assignment]
    own = {name for name in (*widths, "aux") if name not in spec.taps}
    names = dict.fromkeys(wanted)
    resized = [name for name in names if name in own - {"logits", "aux"}] if spec.tap_stride else []
    taps = [Tap(name, spec.taps.get(name, name), spec.tap_stride) for name in names if name not in own]
    if not taps and not resized:
        return
    modules = own_modules(net)
    for tap in taps:
        if tap.path not in modules:
            raise NetworkError(unknown_path(spec, tap, list(widths), list(modules)))
        modules[tap.path].register_forward_hook(tap.keep)
    run_once(net, size_px)
    net.tap_channels = widths | {tap.name: width(spec, tap) for tap in taps}  # type: ignore[assignment]

    def with_taps(module: nn.Module, inputs: tuple[Tensor], outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        own_maps = {name: at_stride(outputs[name], inputs[0], spec.tap_stride) for name in resized}
        return outputs | own_maps | {tap.name: tap.take(inputs[0]) for tap in taps}

    net.register_forward_hook(with_taps)


@torch.no_grad()
def run_once(net: nn.Module, size_px: tuple[int, int]) -> None:
    """Forward of one image in eval mode, on the network's device; its mode is kept."""
    training = net.training
    device = next(net.parameters()).device
    net.eval()(torch.zeros(1, 3, *size_px, device=device))
    net.train(training)


def width(spec: NetSpec, tap: Tap) -> int:
    """Channels of the map that a tap has just kept; finds out whether it was overwritten since."""
    found, tap.map = tap.map, None
    if not isinstance(found, Tensor) or found.dim() != 4:
        given = f"{found.dim()} axes" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        what = "does not run" if found is None else f"gives {given}"
        raise NetworkError(
            f"{spec.net}: tap {tap.name!r}: module {tap.path} {what}, not one map N x C x h x w: "
            "name a module inside it"
        )
    tap.copies = found._version != tap.version
    return found.shape[1]


def unknown_path(spec: NetSpec, tap: Tap, own: list[str], paths: list[str]) -> str:
    """What to say of a path that is none of the network's modules."""
    close = get_close_matches(tap.path, paths, n=3, cutoff=0.5)
    outermost = [path for path in paths if "." not in path]
    hint = f"did you mean {' or '.join(close)}?" if close else f"the outermost are {', '.join(outermost)};"
    asked = f"module {tap.path!r} for tap {tap.name!r}" if tap.name in spec.taps else f"tap or module {tap.name!r}"
    return (
        f"{spec.net} has no {asked}, its own taps are {', '.join(own)}: "
        f"name one of its modules, e.g. with taps.{tap.name} = PATH: {hint} "
        f"python -m bench.complexity --net {spec.net} lists all"
    )
