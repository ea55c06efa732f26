"""An exponential moving average of a module's weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

WARMUP = 10
"""The average of n steps decays by (1 + n) / (WARMUP + n) at most, so that a short training forgets where it began."""


class Average:
    """Averages parameters and floating buffers (batch norm's statistics belong to the weights); counts are copied.

    decay_n = min(decay, (1 + n) / (10 + n)) after n steps, as TensorFlow's ExponentialMovingAverage has it.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = module
        self.decay = decay
        self.state = copied(module)

    @torch.no_grad()
    def follow(self, steps: int) -> None:
        """Move towards the weights as they are after `steps` steps."""
        decay = min(self.decay, (1 + steps) / (WARMUP + steps))
        now = self.module.state_dict()
        floating = [name for name, value in now.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.state[n] for n in floating], [now[n] for n in floating], 1 - decay)
        for name in now.keys() - set(floating):
            self.state[name].copy_(now[name])

    def swap(self) -> None:
        """Exchange the module's weights and the average; a second call puts both back."""
        mine = copied(self.module)
        self.module.load_state_dict(self.state)
        self.state = mine

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights."""
        return self.state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Inverse of `state_dict`; KeyError or RuntimeError where it does not fit."""
        for name, value in self.state.items():
            value.copy_(state[name])


def copied(module: nn.Module) -> dict[str, Tensor]:
    """A module's weights and buffers as tensors of their own, on its device."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
