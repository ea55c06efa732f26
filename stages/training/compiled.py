"""torch.compile, asked for by a recipe: whether it works here is found out before the training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pipeline.errors import TrainingError

Call = Callable[[Tensor], dict[str, Tensor]]
"""Normalised images to maps."""


def compiled(net: nn.Module) -> Call:
    """A function that calls `net` compiled; the module itself and the names in its state dict stay as they are."""

    def call(images_NCHW: Tensor) -> dict[str, Tensor]:
        maps: dict[str, Tensor] = net(images_NCHW)
        return maps

    return torch.compile(call)


def require_compiler(device: str) -> None:
    """TrainingError where torch.compile cannot make a kernel for the device, with what it says is missing."""
    try:
        torch.compile(lambda x: torch.relu(x) + 1)(torch.zeros(8, device=device))
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        needs = "a C++ compiler (g++)" if device == "cpu" else "triton and a C compiler (gcc)"
        raise TrainingError(
            f"compile = true does not work on this machine's {device}: {lines[0] if lines else type(error).__name__}: "
            f"it needs {needs}, or leave compile out"
        ) from error
