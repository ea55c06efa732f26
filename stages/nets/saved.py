"""A network on disk: model.safetensors beside config.json, enough to build and fill it again."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipeline.errors import WeightsError
from stages.nets.catalogue import NetSpec, build_unfilled
from stages.nets.keys import fill, own_state

MODEL = "model.safetensors"
CONFIG = "config.json"
CONTIGUOUS = torch.contiguous_format


def save_net(folder: Path, net: nn.Module, spec: NetSpec, notes: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Write the weights and the spec, and whether there is an aux head, into an existing folder.

    `notes` stand in config.json too, for people and programs that ask where the weights come from.
    """
    save_weights(folder, net)
    config = spec.to_json() | {"aux_head": net.aux_head is not None, **notes}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def save_weights(folder: Path, net: nn.Module) -> None:
    """Write a module's parameters and buffers as model.safetensors, by the names that the module's author gave them."""
    # Cloned, since safetensors refuses tensors that share memory, as tied layers do.
    state = {key: value.detach().cpu().clone(memory_format=CONTIGUOUS) for key, value in own_state(net).items()}
    # No metadata entries: safetensors does not order them, and equal weights should be equal files.
    save_file(state, folder / MODEL)


def load_net(folder: Path) -> tuple[nn.Module, NetSpec]:
    """The network of `save_net`, on the CPU, in eval mode. One named by `module:function` runs that code.

    WeightsError when a file is missing or unreadable, or any key or shape differs from the network's.
    """
    config = _read_config(folder / CONFIG)
    try:
        spec, has_aux = NetSpec.from_json(config), config["aux_head"]
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{folder / CONFIG} does not describe a network ({type(error).__name__}: {error}); "
            "give a folder that a trained network lies in"
        ) from None
    net = build_unfilled(spec.net, spec.classes, spec.args)
    if not has_aux:
        net.aux_head = None  # type: ignore[assignment]
    state = _read_state(folder / MODEL)
    _check_fit(folder / MODEL, state, own_state(net))
    if any(parameter.is_meta for parameter in net.parameters()):
        net.to_empty(device="cpu")
    # Copied, not assigned: tensors mapped from the file lie unaligned, which changes results in the last bit.
    fill(net, state)
    return net.eval(), spec


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        config: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read {path}: {error}; give a folder that a trained network lies in") from None
    return config


def _read_state(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read {path}: {error}; train or pull the network again") from None


def _check_fit(path: Path, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    faults = [f"lacks {key}" for key in wanted if key not in state]
    faults += [f"has {key}, which the network has not" for key in state if key not in wanted]
    faults += [
        f"has {key} as {tuple(state[key].shape)}, the network as {tuple(tensor.shape)}"
        for key, tensor in wanted.items()
        if key in state and state[key].shape != tensor.shape
    ]
    if faults:
        raise WeightsError(
            f"{path} does not fit its config.json: it {faults[0]} ({len(faults)} such faults in all); "
            "the two files come from different networks"
        )
