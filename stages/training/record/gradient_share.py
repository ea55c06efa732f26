"""How hard each term of a loss pulls on the weights, seen while the network trains.

Terms of unlike scale are added up by their weights, and one may drown the rest without its value showing it. What
decides is the gradient: for each term the L2 norm of its weighted gradient with respect to one tensor that all of them
reach, the last layer of weights that they share (so Chen et al. 2018, GradNorm, choose it). A norm at the logits would
leave out the terms that read features; one at each term's own tap would compare unlike things.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stages.distributed.collectives import averaged
from stages.losses.terms import DistillationTerms
from stages.losses.watch import Watch

Weights = Mapping[str, float]

SEED_GRADIENT = 1024.0
"""Lifts half-precision gradients above underflow; a power of two, divided out of the norms without rounding."""


class GradientShare:
    """Measures every `every` iterations and in the last one, by extra passes from the terms to the shared weights.

    They read the graph of the step and nothing else: no gradient of a parameter, no buffer and no random state changes.
    """

    def __init__(self, every: int, iterations: int, log: Callable[[str], None]) -> None:
        """0 for `every` measures nothing; nor is anything measured where there is one term alone."""
        self.every = every
        self.last = iterations - 1
        self.log = log

    def attach(self, net: nn.Module, terms: DistillationTerms, weights_at: Callable[[int], Weights]) -> None:
        """Say which network is watched, under which terms, and what each of them weighs in an iteration."""
        self.net = net
        self.terms = terms
        self.weights_at = weights_at
        if len(terms.configs) < 2:
            self.every = 0

    def look(self, iteration: int) -> None:
        """Have the terms take notes in this step, if it is one that is measured."""
        due = self.every > 0 and (iteration % self.every == 0 or iteration == self.last)
        self.terms.watch = Watch() if due else None

    def __call__(self, iteration: int) -> dict[str, Any]:
        """Norms, shares and seconds by term, for the history; {} for a step that is not measured."""
        watch, self.terms.watch = self.terms.watch, None
        if watch is None:
            return {}
        maps = {name: watch.maps[term.tap] for name, term in self.terms.configs.items()}
        shared = last_shared_weights(self.net, maps.values())
        if shared is None:
            self.log("gradient share: not measured, the terms share no weights that are trained")
            self.every = 0
            return {}
        where, weights = shared
        factors = self.weights_at(iteration)
        norms = {
            name: factors[name] * gradient_norm(name, value, maps[name], weights, watch)
            for name, value in watch.values.items()
        }
        total = sum(norms.values())
        shares = {name: norm / total if total else 0.0 for name, norm in norms.items()}
        text = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        self.log(f"iteration {iteration}: gradient share at {where}: {text}")
        seconds = {name: round(s, 6) for name, s in watch.seconds.items()}
        return {"gradient_at": where, "gradient_norm": norms, "gradient_share": shares, "term_seconds": seconds}


def gradient_norm(term: str, value: Tensor, tapped: Tensor, weights: Tensor, watch: Watch) -> float:
    """L2 norm of the gradient of `value` with respect to `weights`; times the way from the term to its map."""
    with watch.lap(term, value):
        (gradient,) = torch.autograd.grad(value * SEED_GRADIENT, tapped, retain_graph=True)
    (gradient,) = torch.autograd.grad(tapped, weights, gradient, retain_graph=True)
    return float(torch.linalg.vector_norm(averaged(gradient.float()))) / SEED_GRADIENT


def last_shared_weights(net: nn.Module, maps: Iterable[Tensor]) -> tuple[str, Tensor] | None:
    """The last of the network's weights (by the order in which it names them) from which all the maps are computed."""
    reached = [parameters_behind(tapped) for tapped in maps]
    shared = [(n, p) for n, p in net.named_parameters() if p.ndim > 1 and all(id(p) in found for found in reached)]
    return shared[-1] if shared else None


def parameters_behind(tensor: Tensor) -> set[int]:
    """Identities of the leaves of the graph behind a tensor."""
    seen: set[Any] = set()
    found: set[int] = set()
    waiting = [tensor.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        waiting.extend(before for before, _ in node.next_functions)
    return found
