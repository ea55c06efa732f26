"""A module with the optimiser that trains it."""

from __future__ import annotations

from typing import Any

from lightning_fabric import Fabric
from torch import Tensor, nn

from stages.training.config import OptimiserConfig
from stages.training.optimiser import Groups, optimizer_of
from stages.training.schedule import poly

GRADIENT_NORM = "norm_before_clip"
"""Key of the L2 norm of the whole gradient among the values of a step; `gradient_norm` is that of each term."""


class Learner:
    """A module, its own optimiser and its learning rates; both are one thing in a checkpoint.

    A step is `clear`, then `backward` for each part of the batch, then `step`.
    """

    def __init__(self, module: nn.Module, groups: Groups, config: OptimiserConfig) -> None:
        self.module = module
        self.config = config
        self.optimizer = optimizer_of(groups, config)
        self.base_lrs = [group["lr"] for group in self.optimizer.param_groups]

    def start(self, fabric: Fabric) -> None:
        """Hand both to Fabric; call the module through `wrapped` from then on."""
        self.fabric = fabric
        self.wrapped, self.stepper = fabric.setup(self.module, self.optimizer)
        self.module.train()

    def clear(self) -> None:
        """Forget the gradients of the step before."""
        self.stepper.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of one part's loss, so that the step's gradient is the mean over its parts.

        Processes average what has added up in every part, which changes nothing of the parts before: to leave it to the
        last one (`no_sync`) is not for a static graph, which DDP learns in its first backward.
        """
        parts = self.config.accumulate
        self.fabric.backward(loss if parts == 1 else loss / parts)

    def step(self, iteration: int) -> dict[str, Tensor]:
        """One optimiser step at the scheduled learning rate; the gradient's norm where it is clipped.

        The norm is that of the unscaled gradient, before it is shortened. Under fp16 it is not finite where the scaler
        leaves the step out.
        """
        factor = poly(iteration / self.config.iterations, self.config.poly_power, self.config.warmup)
        for group, base_lr in zip(self.stepper.param_groups, self.base_lrs, strict=True):
            group["lr"] = base_lr * factor
        norm = {}
        if self.config.clip_norm is not None:
            found = self.fabric.clip_gradients(
                self.wrapped, self.stepper, max_norm=self.config.clip_norm, error_if_nonfinite=False
            )
            assert found is not None, "a norm comes back where one is asked for"
            norm = {GRADIENT_NORM: found}
        self.stepper.step()
        return norm

    @property
    def lr(self) -> float:
        """Learning rate of the last step, of the first group."""
        return float(self.optimizer.param_groups[0]["lr"])

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed training needs of it."""
        return {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of `state_dict`; RuntimeError, ValueError or KeyError where it does not fit."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
