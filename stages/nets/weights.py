"""Start a network from weights that others trained, and say exactly which of them it took."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.errors import WeightsError
from stages.nets.catalogue import entry_of

BACKBONE = "backbone."
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class WeightsReport:
    """What `load_weights` did; keys of the network are its own, keys of the source are the source's."""

    source: str
    """File name or download address."""
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

    def summary(self) -> str:
        """One line, with the first skipped key and its reason."""
        line = f"{self.source}: {len(self.loaded)} keys loaded, {len(self.skipped)} skipped"
        if self.skipped:
            key, reason = next(iter(self.skipped.items()))
            line += f" (first {key}: {reason})"
        return f"{line}; {len(self.initial)} keys of the network stay at initialisation"


def load_weights(net: nn.Module, source: Path | Literal["torchvision"], net_name: str) -> WeightsReport:
    """Fill `net` in place from a safetensors file, or from torchvision's ImageNet weights of its backbone.

    A key of the source is the network's own key, or a key of the backbone under torchvision's name. A tensor
    is skipped, with the reason, when the network has no such key or another shape; a batch norm is skipped
    with its convolution. WeightsError when the source cannot be read or downloaded, or nothing in it fits.
    """
    name, state = _downloaded(net_name) if source == "torchvision" else _read(Path(source))
    own = net.state_dict()
    chosen = {key: _own_key(key, own) for key in state}
    skipped = {key: reason for key in state if (reason := _misfit(state[key], chosen[key], own))}
    skipped = dict(sorted((skipped | _orphans(net, chosen, skipped)).items()))
    taken = {own_key: state[key] for key, own_key in chosen.items() if own_key and key not in skipped}
    if not taken:
        examples = "; ".join(f"{key}: {reason}" for key, reason in list(skipped.items())[:3])
        raise WeightsError(
            f"nothing in {name} fits {net_name} ({examples}); give weights of the same backbone and width"
        )
    net.load_state_dict(taken, strict=False)
    initial = tuple(key for key in own if key not in taken and not key.endswith(COUNTER))
    return WeightsReport(name, tuple(taken), skipped, initial)


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    try:
        return path.name, load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read {path} as safetensors: {error}; check the path and the format") from None


def _downloaded(net_name: str) -> tuple[str, dict[str, Tensor]]:
    """torchvision's weights, downloaded or cached; the hash is checked and only tensors are unpickled."""
    from torchvision.models import get_model_weights  # type: ignore[import-untyped]

    backbone = entry_of(net_name).torchvision
    if backbone is None:
        raise WeightsError(f"torchvision has no weights for {net_name}; give a safetensors file or train from scratch")
    # V1 by name: DEFAULT moves between releases of torchvision.
    weights = get_model_weights(backbone)["IMAGENET1K_V1"]
    try:
        return weights.url, weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"cannot get {weights.url}: {reason}; give a safetensors file instead") from None


def _own_key(key: str, own: Mapping[str, Tensor]) -> str | None:
    return next((candidate for candidate in (key, BACKBONE + key) if candidate in own), None)


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
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            last = owners[name] = name
        elif isinstance(module, nn.BatchNorm2d):
            owners[name] = last
    return owners
