"""Where first weights come from: a safetensors file, or what torchvision publishes."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pipeline.errors import WeightsError
from pipeline.nearest import nearest
from stages.nets.catalogue import entry_of
from stages.nets.foreign import is_foreign

TORCHVISION = "torchvision"


def read_source(source: Path | str, net_name: str) -> tuple[str, dict[str, Tensor]]:
    """(what to call it, tensors by key) of a path, of `torchvision` or of `torchvision:ENUM`.

    WeightsError where it cannot be read or downloaded.
    """
    kind, _, enum = str(source).partition(":")
    if kind != TORCHVISION:
        return _read(Path(source))
    return _downloaded(_published(enum) if enum else _imagenet(net_name))


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    try:
        return path.name, load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"cannot read {path} as safetensors: {error}; a checkpoint of torch comes in by "
            f"python -m pipeline import-weights {path} OUT.safetensors"
        ) from None


def _downloaded(weights: Any) -> tuple[str, dict[str, Tensor]]:
    """torchvision's weights, downloaded or cached; the hash is checked and only tensors are unpickled."""
    try:
        return weights.url, weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"cannot get {weights.url}: {reason}; give a safetensors file instead") from None


def _imagenet(net_name: str) -> Any:
    """torchvision's first ImageNet weights for a network's backbone."""
    from torchvision.models import get_model_weights

    backbone = None if is_foreign(net_name) else entry_of(net_name).torchvision
    if backbone is None:
        raise WeightsError(
            f"torchvision has no weights for {net_name}; give a safetensors file, name some as "
            "torchvision:ResNet18_Weights.IMAGENET1K_V1, or train from scratch"
        )
    # V1 by name: DEFAULT moves between releases of torchvision.
    return get_model_weights(backbone)["IMAGENET1K_V1"]


def _published(name: str) -> Any:
    """One of torchvision's weights by its full name."""
    from torchvision.models import get_model_weights, get_weight, list_models

    try:
        return get_weight(name)
    except (ValueError, KeyError):
        known = [str(each) for model in list_models() for each in get_model_weights(model)]
        raise WeightsError(f"torchvision publishes no weights {name!r}: {nearest(name, known)}") from None
