"""The networks by name: which module builds each, with which arguments. No torch until one is built."""

import importlib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import NetworkError
from pipeline.facts import version
from pipeline.nearest import nearest
from stages.nets.foreign import foreign, is_foreign

if TYPE_CHECKING:
    from torch import nn

Triple = tuple[float, float, float]

NORMALISATIONS: Mapping[str, tuple[Triple, Triple]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "symmetric": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Mean and standard deviation of R, G, B on the 0..1 scale: input = (rgb / 255 - mean) / std."""


@dataclass(frozen=True)
class Entry:
    """How one network is built."""

    module: str
    """Dotted module that holds the builder."""
    builder: str
    """Function of that module: `builder(classes, **args) -> nn.Module`."""
    args: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that the name fixes."""
    accepts: tuple[str, ...] = ()
    """Arguments that the user may give."""
    torchvision: str | None = None
    """torchvision's name of the network whose ImageNet weights fit the backbone."""


CATALOGUE: Mapping[str, Entry] = {
    name: Entry(**{**fields, "accepts": tuple(fields.get("accepts", ()))})
    for name, fields in tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")).items()
}
"""A table of data and not of code, so that a new line leaves the fingerprint of every other network as it is; what an
entry holds enters the key of the stage that chose it (`choice`)."""


@dataclass(frozen=True)
class NetSpec:
    """All that is needed to build a network again and to feed it."""

    net: str
    """Name in the catalogue, or of a network from outside it (`stages.nets.foreign`)."""
    classes: int
    """Number of output classes."""
    args: Mapping[str, Any]
    """Arguments of the builder, e.g. `{"width": 0.5}`."""
    mean: Triple
    """Mean of R, G, B on the 0..1 scale."""
    std: Triple
    """Standard deviation of R, G, B on the 0..1 scale."""
    taps: Mapping[str, str] = field(default_factory=dict)
    """Name of a tap to the path of the module whose output it is, beside the network's own taps."""
    tap_stride: int | None = None
    """Pixels of the image for each cell of those maps; None leaves them on their own grids."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self) | {
            "args": dict(self.args),
            "mean": list(self.mean),
            "std": list(self.std),
            "taps": dict(self.taps),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "NetSpec":
        """Inverse of `to_json`; KeyError when a field is missing, other keys are not read."""
        red, green, blue = values["mean"]
        red_std, green_std, blue_std = values["std"]
        return cls(
            net=values["net"],
            classes=values["classes"],
            args=dict(values["args"]),
            mean=(red, green, blue),
            std=(red_std, green_std, blue_std),
            taps=dict(values["taps"]),
            tap_stride=values["tap_stride"],
        )


def names() -> tuple[str, ...]:
    """The networks that can be built."""
    return tuple(CATALOGUE)


def entry_of(net: str) -> Entry:
    """The entry of a network; NetworkError that offers the nearest names when there is none."""
    if net not in CATALOGUE:
        raise NetworkError(
            f"no network is called {net!r}: {nearest(net, names())} "
            "(others go by torchvision:NAME, smp:NAME or module:function)"
        )
    return CATALOGUE[net]


def modules_of(net: str, args: Mapping[str, Any], where: str = "") -> tuple[str, ...]:
    """Dotted modules that build the network.

    NetworkError for an unknown name; for a network of the catalogue also for an argument that it does not take.
    `where` is the place of the network in a recipe, e.g. `distill.student`: the error tells how to clear its arguments.
    """
    if is_foreign(net):
        outside = foreign(net)
        return (f"stages.nets.{outside.builder}", *outside.code)
    entry = entry_of(net)
    for name, value in args.items():
        if name not in entry.accepts:
            known = ", ".join(entry.accepts) or "none"
            raise NetworkError(f"{net} takes no argument {name!r}; it takes {known}{cleared(where)}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise NetworkError(f"{net}: argument {name} is {value!r}; give a number")
    return (entry.module,)


def cleared(where: str) -> str:
    """How to take away the arguments that a recipe gives to the network that it had."""
    return f"; if it was set for another network: --set '{where}.args={{}}'" if where else ""


def choice(net: str) -> dict[str, Any]:
    """What a network's name stands for, as plain values; the arguments it would accept change nothing.

    For a network of an installed package that is the package's version, since its code is not ours to hash.
    """
    if is_foreign(net):
        return {"versions": {package: version(package) for package in foreign(net).packages}}
    entry = asdict(entry_of(net))
    del entry["accepts"]
    return entry


def build(net: str, classes: int, /, **args: Any) -> "nn.Module":
    """A new network in training mode, initialised from torch's global generator.

    It maps normalised float images N x 3 x H x W to a dict of N x C x h x w maps: `logits`, the taps named in
    its `tap_channels`, and `aux` while it trains and has an `aux_head`.
    NetworkError for an unknown name or an argument that the network does not take.
    """
    module = importlib.import_module(modules_of(net, args)[0])
    network: nn.Module
    if is_foreign(net):
        outside = foreign(net)
        network = getattr(module, outside.builder)(classes, outside.reference, **args)
    else:
        entry = entry_of(net)
        network = getattr(module, entry.builder)(classes, **entry.args, **args)
    return network


def build_unfilled(net: str, classes: int, args: Mapping[str, Any]) -> "nn.Module":
    """The network for whoever brings its weights or reads its shapes alone: torch's generator stays as it is.

    A network of the catalogue comes on the meta device. One from outside comes on the CPU, since it may hold tensors
    that no weights file has; what would only download its first weights is left out.
    """
    import torch

    if not is_foreign(net):
        with torch.device("meta"):
            return build(net, classes, **args)
    needed = {name: value for name, value in args.items() if name not in foreign(net).start_args}
    with torch.random.fork_rng(devices=[]):
        return build(net, classes, **needed)
