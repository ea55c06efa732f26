"""The training loop learns, stops on a broken term, and equals itself bit for bit when it is resumed."""

import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import TrainingError
from pipeline.signals import Terminated
from stages.training.checkpoint import checkpoint_path
from stages.training.config import OptimiserConfig
from stages.training.device import resolve_precision, start_fabric
from stages.training.keeper import Keeper
from stages.training.loop import train
from tests.stages.training.loops import ITERATIONS, Fit, Interrupted, batches, context, fitted, interrupted_at, timeless

EVERYTHING = {"optimiser": "adamw", "lr": 0.01, "clip_norm": 0.5, "accumulate": 2, "ema": 0.9}
"""All that adds to the state of a training."""


@pytest.mark.parametrize("changes", [{}, EVERYTHING], ids=["published", "everything"])
def test_resumed_equals_uninterrupted(tmp_path: Path, changes) -> None:
    whole, history = fitted(tmp_path / "whole", **changes)
    with pytest.raises(Interrupted):
        fitted(tmp_path / "parts", interrupted_at(8), **changes)
    resumed, resumed_history = fitted(tmp_path / "parts", **changes)
    assert history[-1]["error"] < history[0]["error"]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert timeless(history) == timeless(resumed_history)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_the_step_and_loses_none(tmp_path: Path, number: int) -> None:
    handler = signal.getsignal(number)
    whole, history = fitted(tmp_path / "whole", checkpoint_iterations=100)

    def stop(done: int) -> None:
        if done == 8:
            signal.raise_signal(number)

    expected = Terminated if number == signal.SIGTERM else KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt) as caught:
        fitted(tmp_path / "parts", stop, checkpoint_iterations=100)
    assert type(caught.value) is expected and signal.getsignal(number) is handler
    assert torch.load(tmp_path / "parts" / "fit.pt", weights_only=True)["iteration"] == 8
    seen: list[int] = []
    resumed, resumed_history = fitted(tmp_path / "parts", seen.append, checkpoint_iterations=100)
    assert seen == [9, 10, 11, 12]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert timeless(history) == timeless(resumed_history)


def test_the_clock_goes_on_where_a_killed_run_stopped(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        fitted(tmp_path, interrupted_at(11))
    checkpoint = checkpoint_path(tmp_path, "fit")
    state = torch.load(checkpoint, weights_only=True)
    state["history"] = [{"iteration": 0, "seconds": 50.0, "total": 1.0, "error": 1.0}]
    torch.save(state, checkpoint)
    _, history = fitted(tmp_path)
    # Nine iterations were done, the first of them in 50 s.
    assert [row["iteration"] for row in history] == [0, 10, 11]
    assert 450 <= history[1]["seconds"] <= history[2]["seconds"] < 500


def test_a_broken_term_is_named_with_its_iteration(tmp_path: Path) -> None:
    class Broken(Fit):
        def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            total, terms = super().forward(x)
            return total, {**terms, "pair_wise": total / 0.0}

    with pytest.raises(TrainingError, match="not finite at iteration 0: pair_wise: lower lr"):
        fitted(tmp_path, make=Broken)


def test_after_a_term_broke_the_same_command_goes_on_from_the_last_good_state(tmp_path: Path) -> None:
    class BrokenOnce(Fit):
        calls = 0

        def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            total, terms = super().forward(x)
            self.calls += 1
            return total, {"error": terms["error"] / (0.0 if self.calls == 8 else 1.0)}

    whole, _ = fitted(tmp_path / "whole")
    with pytest.raises(TrainingError, match="the same command unchanged goes on from the last good one"):
        fitted(tmp_path / "broken", make=BrokenOnce)
    seen: list[int] = []
    resumed, _ = fitted(tmp_path / "broken", seen.append)
    assert seen[0] == 7
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    class Other(Fit):
        def __init__(self) -> None:
            super().__init__()
            self.extra = nn.Linear(1, 1)

    fitted(tmp_path)
    with pytest.raises(TrainingError, match=r"cannot resume from .*delete that file to start again"):
        fitted(tmp_path, make=Other)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    fitted(tmp_path)
    (checkpoint,) = tmp_path.rglob("*.pt")
    torch.save([1, 2], checkpoint)
    with pytest.raises(TrainingError, match=r"cannot resume from .*delete that file to start again"):
        fitted(tmp_path)


def test_a_checkpoint_of_another_recipe_is_refused_by_the_setting_that_differs(tmp_path: Path) -> None:
    fitted(tmp_path)
    fitted(tmp_path, checkpoint_iterations=5)
    with pytest.raises(TrainingError, match="made with optimiser = 'sgd', and the recipe has 'adamw'; delete"):
        fitted(tmp_path, optimiser="adamw")


def test_weights_that_broke_under_finite_terms_never_replace_a_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is not finite after iteration 0, although every term was"):
        fitted(tmp_path, lr=1e38, checkpoint_iterations=1)
    assert not (tmp_path / "fit.pt").exists()


def rated(scratch: Path, scores: list[float], stop_at: int | None = None, ema: float = 0.0):
    """Train with a score after every three steps; the weights scored, the module's state in the end, the history."""
    config = OptimiserConfig(iterations=ITERATIONS, lr=0.05, checkpoint_iterations=100, precision="fp32", ema=ema)
    fabric = start_fabric("fp32", "cpu", seed=0)
    module = Fit()
    seen: list[Tensor] = []

    def score() -> float:
        seen.append(module.net[0].weight.detach().clone())
        return scores.pop(0)

    keeper = Keeper(module, ema, score, every=3, best=True)
    ctx = context(scratch, interrupted_at(stop_at))
    history = train(fabric, module, batches, lambda i, x: [(x,)], config, ctx, "fit", keeper=keeper)
    return seen, module.state_dict(), history


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_the_best_weights_outlive_an_interruption(tmp_path: Path, ema: float) -> None:
    seen, whole, history = rated(tmp_path / "whole", [0.1, 0.3, 0.3, 0.2], ema=ema)
    assert [row["val_miou"] for row in history if "val_miou" in row] == [0.1, 0.3, 0.3, 0.2]
    assert torch.equal(whole["net.0.weight"], seen[1]) and not torch.equal(seen[1], seen[2])
    with pytest.raises(Interrupted):
        rated(tmp_path / "parts", [0.1, 0.3, 0.3], stop_at=11, ema=ema)
    # The checkpoint of step 9 was written before its score, which is taken again.
    _, resumed, resumed_history = rated(tmp_path / "parts", [0.3, 0.2], ema=ema)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert timeless(history) == timeless(resumed_history)


def test_scoring_changes_nothing_that_is_trained(tmp_path: Path) -> None:
    _, _, history = rated(tmp_path / "rated", [0.1, 0.2, 0.3, 0.4])
    _, plain = fitted(tmp_path / "plain", batch=8)
    assert history[-1]["error"] == plain[-1]["error"]


def test_the_precision_that_auto_became_is_logged(tmp_path: Path) -> None:
    lines: list[str] = []
    config = OptimiserConfig(iterations=1, batch=4)
    train(
        start_fabric(config.precision, "cpu", seed=0),
        Fit(),
        batches,
        lambda i, x: [(x,)],
        config,
        context(tmp_path, lines=lines),
        "fit",
    )
    assert lines[0].endswith(f", precision {resolve_precision('auto', 'cpu')}")
