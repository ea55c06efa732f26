"""The critics of a method's terms as one module that learns after each of the student's steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from stages.losses.terms import DistillationTerms, Pairs


class Critics(nn.Module):
    """Each term's critic under the term's full weight, ramp or none: one that had not learnt would have nothing to say.

    forward: {term: (student's map, teacher's map)} -> (weighted total, {term_critic: its loss}).
    """

    def __init__(self, terms: DistillationTerms) -> None:
        super().__init__()
        self.critics = nn.ModuleDict(terms.critics)
        self.weights = {name: terms.configs[name].weight for name in self.critics}
        self.lrs = {name: terms.bound[name].critic_lr for name in self.critics}

    def forward(self, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum to be minimised, float32 scalar, and each critic's own loss by name."""
        losses = {name: critic(*pairs[name]) for name, critic in self.critics.items()}
        total = torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()
        return total, {f"{name}_critic": loss for name, loss in losses.items()}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One a critic, each at its own learning rate."""
        return [{"params": list(c.parameters()), "lr": self.lrs[name]} for name, c in self.critics.items()]
