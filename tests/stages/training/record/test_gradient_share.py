"""Shares by hand on a network of two layers, and proof that looking changes nothing."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stages.losses.methods import TermConfig
from stages.losses.watch import Watch
from stages.training.record.gradient_share import GradientShare, last_shared_weights, parameters_behind


class TwoLayers(nn.Module):
    """`features` = first x, `logits` = second features."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2, bias=False, dtype=torch.float64)
        self.second = nn.Linear(2, 2, bias=False, dtype=torch.float64)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.first(x)
        return {"features": features, "logits": self.second(features)}


class Terms:
    """Stands for the terms of a method: which there are, and where they note what they saw."""

    def __init__(self, taps: dict[str, str]) -> None:
        self.configs = {name: TermConfig(name, 1.0, "mean", tap) for name, tap in taps.items()}
        self.watch: Watch | None = None


def measure(net: TwoLayers, taps: dict[str, str], weights: dict[str, float], x: Tensor) -> tuple[dict[str, Any], list]:
    lines: list[str] = []
    share, terms = GradientShare(every=10, iterations=100, log=lines.append), Terms(taps)
    share.attach(net, terms, lambda iteration: weights)  # type: ignore[arg-type]
    share.look(20)
    assert terms.watch is not None
    maps = net(x)
    terms.watch.maps = maps
    terms.watch.values = {name: maps[tap].square().sum() for name, tap in taps.items()}
    for name in taps:
        terms.watch.seconds[name] = 1.0
    noted = share(20)
    assert terms.watch is None
    return noted, lines


def test_norms_and_shares_are_those_of_the_weighted_gradients() -> None:
    torch.manual_seed(0)
    net, x, weights = TwoLayers(), torch.randn(3, 2, dtype=torch.float64), {"a": 0.5, "b": 3.0}
    noted, lines = measure(net, {"a": "logits", "b": "features"}, weights, x)
    norms = {}
    for name, tap in (("a", "logits"), ("b", "features")):
        value = weights[name] * net(x)[tap].square().sum()
        (gradient,) = torch.autograd.grad(value, net.first.weight)
        norms[name] = float(gradient.norm())
    total = sum(norms.values())
    assert noted["gradient_at"] == "first.weight"
    assert noted["gradient_norm"] == pytest.approx(norms, rel=1e-6)
    assert noted["gradient_share"] == pytest.approx({name: norm / total for name, norm in norms.items()}, rel=1e-6)
    assert all(noted["term_seconds"][name] > 1.0 for name in norms)
    assert lines[0].startswith("iteration 20: gradient share at first.weight: a ")


def test_terms_on_the_last_map_alone_share_its_layer() -> None:
    noted, _ = measure(TwoLayers(), {"a": "logits", "b": "logits"}, {"a": 1.0, "b": 0.0}, torch.ones(1, 2).double())
    assert noted["gradient_at"] == "second.weight"
    assert noted["gradient_share"] == {"a": 1.0, "b": 0.0}


def test_weights_that_are_not_trained_are_not_chosen() -> None:
    net = TwoLayers()
    net.first.weight.requires_grad_(False)
    maps = net(torch.ones(1, 2).double())
    assert not parameters_behind(maps["features"])
    assert last_shared_weights(net, maps.values()) is None
    net.second.weight.requires_grad_(True)
    assert last_shared_weights(net, [maps["logits"]])[0] == "second.weight"


@pytest.mark.parametrize(("every", "seen"), [(0, []), (4, [0, 4, 8, 9]), (3, [0, 3, 6, 9]), (100, [0, 9])])
def test_which_iterations_are_measured(every: int, seen: list[int]) -> None:
    share, terms = GradientShare(every, iterations=10, log=print), Terms({"a": "logits", "b": "logits"})
    share.attach(TwoLayers(), terms, lambda iteration: {})  # type: ignore[arg-type]
    found = []
    for iteration in range(10):
        share.look(iteration)
        found += [iteration] if terms.watch else []
    assert found == seen


def test_one_term_alone_has_no_share() -> None:
    share, terms = GradientShare(1, iterations=10, log=print), Terms({"a": "logits"})
    share.attach(TwoLayers(), terms, lambda iteration: {})  # type: ignore[arg-type]
    share.look(0)
    assert terms.watch is None and share(0) == {}
