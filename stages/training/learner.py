"""A module with the optimiser that trains it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from stages.training.config import OptimiserConfig
from stages.training.schedule import poly


class Learner:
    """A module, its own SGD and its learning rates; both are one thing in a checkpoint."""

    def __init__(self, module: nn.Module, groups: Iterable[dict[str, Any]], config: OptimiserConfig) -> None:
        """`groups` are torch's parameter groups, each with its base `lr`."""
        self.module = module
        self.config = config
        self.optimizer = torch.optim.SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay)
        self.base_lrs = [group["lr"] for group in self.optimizer.param_groups]

    def start(self, fabric: Fabric) -> None:
        """Hand both to Fabric; call the module through `wrapped` from then on."""
        self.fabric = fabric
        self.wrapped, self.stepper = fabric.setup(self.module, self.optimizer)
        self.module.train()

    def step(self, loss: Tensor, iteration: int) -> None:
        """One optimiser step down `loss` at the scheduled learning rate of this iteration."""
        factor = poly(iteration / self.config.iterations, self.config.poly_power, self.config.warmup)
        for group, base_lr in zip(self.stepper.param_groups, self.base_lrs, strict=True):
            group["lr"] = base_lr * factor
        self.stepper.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        self.stepper.step()

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed training needs of it."""
        return {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of `state_dict`; RuntimeError, ValueError or KeyError where it does not fit."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
