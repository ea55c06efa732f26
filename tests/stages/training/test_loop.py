"""The training loop learns, stops on a broken term, and equals itself bit for bit when it is resumed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import TrainingError
from pipeline.stage import Context
from stages.training.checkpoint import checkpoint_path
from stages.training.config import OptimiserConfig
from stages.training.device import start_fabric
from stages.training.loop import train

ITERATIONS = 12


class Interrupted(Exception):
    """Stands for a kill in the middle of training."""


class Bar:
    def __init__(self, stop_at: int | None, done: int) -> None:
        self.stop_at, self.done = stop_at, done

    def step(self, images: int, terms: dict[str, float]) -> None:
        self.done += 1
        if self.done == self.stop_at:
            raise Interrupted


def context(scratch: Path, stop_at: int | None = None) -> Context:
    @contextmanager
    def progress(title: str, total: int, done: int) -> Iterator[Bar]:
        yield Bar(stop_at, done)

    scratch.mkdir(exist_ok=True)
    return Context(scratch, scratch, "cpu", {}, lambda line: None, progress)


class Fit(nn.Module):
    """A small network with batch norm and dropout, so that buffers and random state matter."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Conv2d(4, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        error = (self.net(x) - 3).square().mean()
        return error, {"error": error}


def batches(start: int) -> Iterator[Tensor]:
    for iteration in range(start, ITERATIONS):
        yield torch.randn(4, 1, 6, 6, generator=torch.Generator().manual_seed(iteration))


def trained(scratch: Path, stop_at: int | None = None) -> tuple[dict[str, Tensor], list[dict]]:
    config = OptimiserConfig(iterations=ITERATIONS, lr=0.05, checkpoint_iterations=3, precision="fp32")
    fabric = start_fabric("fp32", "cpu", seed=0)
    module = Fit()
    history = train(fabric, module, batches, lambda i, x: [(x,)], config, context(scratch, stop_at), "fit")
    return module.state_dict(), history


def test_resumed_equals_uninterrupted(tmp_path) -> None:
    whole, history = trained(tmp_path / "whole")
    with pytest.raises(Interrupted):
        trained(tmp_path / "parts", stop_at=8)
    resumed, _ = trained(tmp_path / "parts")
    assert history[-1]["error"] < history[0]["error"]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_clock_goes_on_where_a_killed_run_stopped(tmp_path) -> None:
    with pytest.raises(Interrupted):
        trained(tmp_path, stop_at=11)
    checkpoint = checkpoint_path(tmp_path, "fit")
    state = torch.load(checkpoint, weights_only=True)
    state["history"] = [{"iteration": 0, "seconds": 50.0, "total": 1.0, "error": 1.0}]
    torch.save(state, checkpoint)
    _, history = trained(tmp_path)
    # Nine iterations were done, the first of them in 50 s.
    assert [row["iteration"] for row in history] == [0, 10, 11]
    assert 450 <= history[1]["seconds"] <= history[2]["seconds"] < 500


def test_a_broken_term_is_named_with_its_iteration(tmp_path) -> None:
    class Broken(Fit):
        def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            total, terms = super().forward(x)
            return total, {**terms, "pair_wise": total / 0.0}

    config = OptimiserConfig(iterations=3, precision="fp32")
    fabric = start_fabric("fp32", "cpu", seed=0)
    with pytest.raises(TrainingError, match="not finite at iteration 0: pair_wise"):
        train(fabric, Broken(), batches, lambda i, x: [(x,)], config, context(tmp_path), "fit")


def test_a_checkpoint_of_another_network_is_refused(tmp_path) -> None:
    class Other(Fit):
        def __init__(self) -> None:
            super().__init__()
            self.extra = nn.Linear(1, 1)

    trained(tmp_path)
    config = OptimiserConfig(iterations=ITERATIONS, precision="fp32")
    fabric = start_fabric("fp32", "cpu", seed=0)
    with pytest.raises(TrainingError, match="cannot resume from"):
        train(fabric, Other(), batches, lambda i, x: [(x,)], config, context(tmp_path), "fit")


def test_weights_that_broke_under_finite_terms_never_replace_a_good_checkpoint(tmp_path) -> None:
    config = OptimiserConfig(iterations=3, lr=1e38, checkpoint_iterations=1, precision="fp32")
    fabric = start_fabric("fp32", "cpu", seed=0)
    with pytest.raises(TrainingError, match="is not finite after iteration 0, although every term was"):
        train(fabric, Fit(), batches, lambda i, x: [(x,)], config, context(tmp_path), "fit")
    assert not (tmp_path / "fit.pt").exists()
