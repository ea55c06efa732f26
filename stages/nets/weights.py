"""Start a network from weights that others trained, and say exactly which of them it took."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from pipeline.errors import WeightsError
from stages.nets.keys import fill, own_modules, own_state, prefix
from stages.nets.weights_source import read_source
from stages.nets.wrapped import AUX_NAMES

COUNTER = "num_batches_tracked"
"""Batch norms count with it where they have no momentum; ours all have one, and many files lack it."""

Policy = Literal["exact", "matching"]


@dataclass(frozen=True)
class Naming:
    """How keys of a weights file become keys of a network: `drop` off the front, `add` in its place."""

    drop: str
    add: str

    def __call__(self, key: str) -> str | None:
        """The network's key; None for a key without `drop`."""
        return self.add + key.removeprefix(self.drop) if key.startswith(self.drop) else None


NAMINGS = (
    Naming("", ""),
    Naming("", "backbone."),
    Naming("", "encoder."),
    Naming("", "encoder.model."),
    Naming("features.", "backbone."),
)
"""The network's own names; a backbone by itself, as torchvision names it, in the catalogue's networks and
torchvision's, in segmentation_models_pytorch's and its encoders from timm; a MobileNet's layers, which torchvision's
segmentation networks hold without their first word."""


@dataclass(frozen=True)
class WeightsReport:
    """What `load_weights` did; keys of the network are its own, keys of the source are the source's."""

    source: str
    """File name or download address."""
    policy: Policy
    part: str
    """Prefix of the part of the network that the source is for, e.g. `backbone.`; empty for all of it."""
    share: float
    """Share of that part's parameters that were filled, 0..1."""
    loaded: tuple[str, ...]
    """Keys of the network that were filled."""
    skipped: Mapping[str, str]
    """Key of the source to the reason why it was not used."""
    initial: tuple[str, ...]
    """Keys of the network that stay at their initialisation (the counters of batch norms are not listed)."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self) | {
            "loaded": list(self.loaded),
            "skipped": dict(self.skipped),
            "initial": list(self.initial),
        }

    def lines(self) -> list[str]:
        """What was loaded, what was skipped, and what stays initial, for a log: one line each, the latter by module."""
        part = f"{self.part.rstrip('.')}'s" if self.part else "its"
        said = [
            f"{self.source}: {len(self.loaded)} keys loaded, {100 * self.share:.2f} % of {part} parameters "
            f"(weights_policy {self.policy})"
        ]
        if self.skipped:
            key, reason = next(iter(self.skipped.items()))
            said.append(f"{len(self.skipped)} keys of {self.source} not used, first {key}: {reason}")
        if self.initial:
            said.append(f"{len(self.initial)} keys stay at initialisation: {', '.join(modules_of_keys(self.initial))}")
        return said


def modules_of_keys(keys: tuple[str, ...]) -> list[str]:
    """`backbone.conv1 (3), head (2)`: the keys counted by the first two words of their module's path."""
    counts: dict[str, int] = {}
    for key in keys:
        path = ".".join(key.split(".")[:-1][:2]) or key
        counts[path] = counts.get(path, 0) + 1
    return [f"{path} ({count})" for path, count in counts.items()]


def load_weights(
    net: nn.Module, source: Path | str, net_name: str, policy: Policy = "exact", min_share: float = 0.9
) -> WeightsReport:
    """Fill `net` in place from a safetensors file, or from weights that torchvision publishes.

    `source` is a path, `torchvision` for the ImageNet weights of the network's backbone, or `torchvision:ENUM`. A key
    of the source is the network's own, or a backbone's by itself; that naming of `NAMINGS` holds under which the most
    keys fit.

    `exact`: every key of both, counters aside, has its like in the other, in the same shape. `matching`: a tensor is
    skipped, with the reason, where the network has no such key or another shape, a batch norm with its convolution;
    of the parameters (numbers, not keys) in the part of the network that the naming points at, `min_share` are filled.
    WeightsError where a policy is not met, and for a source that cannot be read or downloaded. The network is then as
    it was.
    """
    name, state = read_source(source, net_name)
    own = own_state(net)
    naming = max(NAMINGS, key=lambda each: sum(each(key) in own for key in state))
    chosen = {key: own_key if (own_key := naming(key)) in own else None for key in state}
    skipped = {key: reason for key in state if (reason := _misfit(state[key], chosen[key], own))}
    skipped = dict(sorted((skipped | _orphans(net, chosen, skipped)).items()))
    taken = {own_key: state[key] for key, own_key in chosen.items() if own_key and key not in skipped}
    initial = tuple(key for key in own if key not in taken and not key.endswith(COUNTER))
    share = _share(net, naming.add, taken)
    report = WeightsReport(name, policy, naming.add, share, tuple(taken), skipped, initial)
    _enforce(report, net_name, min_share)
    fill(net, taken)
    return report


def require_whole(net: nn.Module, report: WeightsReport) -> None:
    """WeightsError where the weights left a part of `net` at its initialisation.

    An auxiliary head, which only training uses, may be missing: then `net` loses its own, in place.
    """
    auxiliary = tuple(f"{name}." for name in AUX_NAMES)
    missing = [key for key in report.initial if not key.startswith(auxiliary)]
    if missing:
        reason = report.skipped.get(missing[0], "it is not in the file")
        raise WeightsError(
            f"{report.source} leaves {len(missing)} keys at initialisation, first {missing[0]}: {reason}; "
            "a network that is published without training must come whole, with its own width and classes"
        )
    if report.initial:
        net.aux_head = None  # type: ignore[assignment]


def _enforce(report: WeightsReport, net_name: str, min_share: float) -> None:
    """WeightsError where the report breaks its policy."""
    if not report.loaded:
        examples = "; ".join(f"{key}: {reason}" for key, reason in list(report.skipped.items())[:3])
        raise WeightsError(
            f"nothing in {report.source} fits {net_name} ({examples}); give weights of the same backbone and width"
        )
    faults = [f"{key}: {reason}" for key, reason in report.skipped.items() if not key.endswith(COUNTER)]
    if report.policy == "exact" and (faults or report.initial):
        missing = [f"{key} is not in it" for key in report.initial]
        raise WeightsError(
            f"{report.source} is not exactly {net_name}: {len(faults)} of its keys do not fit, {len(missing)} are "
            f"missing ({'; '.join([*faults[:2], *missing[:2]])}); weights_policy = 'matching' takes what fits"
        )
    if report.share < min_share:
        part = f"{report.part.rstrip('.')} of {net_name}" if report.part else net_name
        raise WeightsError(
            f"{report.source} fills only {100 * report.share:.1f} % of the parameters in the {part}, and "
            f"weights_min_share is {min_share:g} (first missing: {', '.join(_missing(report)[:3])}); "
            "give weights of the same backbone and width, or lower weights_min_share"
        )


def _missing(report: WeightsReport) -> list[str]:
    return [key for key in report.initial if key.startswith(report.part)]


def _share(net: nn.Module, part: str, taken: Mapping[str, Tensor]) -> float:
    """Share of the numbers in the part's parameters whose keys are taken."""
    sizes = {key.removeprefix(prefix(net)): parameter.numel() for key, parameter in net.named_parameters()}
    sizes = {key: size for key, size in sizes.items() if key.startswith(part)}
    return sum(size for key, size in sizes.items() if key in taken) / max(1, sum(sizes.values()))


def _misfit(tensor: Tensor, own_key: str | None, own: Mapping[str, Tensor]) -> str | None:
    if own_key is None:
        return "the network has no such key"
    if tensor.shape != own[own_key].shape:
        return f"shape {tuple(tensor.shape)}, the network's is {tuple(own[own_key].shape)}"
    return None


def _orphans(net: nn.Module, chosen: Mapping[str, str | None], skipped: Mapping[str, str]) -> dict[str, str]:
    """Biases and batch norms whose convolution the source has but could not give: they belong to it."""
    refused = {own_key for key, own_key in chosen.items() if own_key and key in skipped}
    owners = _convolution_of(net)
    orphans = {}
    for key, own_key in chosen.items():
        owner = owners.get(own_key.rpartition(".")[0]) if own_key else None
        if owner and f"{owner}.weight" in refused and key not in skipped:
            orphans[key] = f"its convolution {owner} was skipped"
    return orphans


def _convolution_of(net: nn.Module) -> dict[str, str]:
    """Each batch norm to the convolution before it in order of registration, each convolution to itself."""
    owners, last = {}, ""
    for name, module in own_modules(net).items():
        if isinstance(module, nn.Conv2d):
            last = owners[name] = name
        elif isinstance(module, nn.BatchNorm2d):
            owners[name] = last
    return owners
