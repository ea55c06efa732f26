"""What takes a step: the optimisers, the parts of a batch, the clipped gradient, the scaler of fp16."""

from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn

from pipeline.errors import TrainingError
from stages.training.config import OptimiserConfig
from stages.training.device import start_fabric
from stages.training.learner import Learner
from stages.training.loop import train
from stages.training.optimiser import told
from tests.stages.training.loops import context, fitted


class Line(nn.Module):
    """y = w x, w = 1 at first; loss = mean y."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(1, 1))
        self.b = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        y = (x * self.w + self.b).mean()
        return y, {"y": y.detach()}


def stepped(x: list[float], **changes) -> tuple[Line, dict[str, Tensor]]:
    """One step of a `Line` on x, no momentum, lr 1 unless changed."""
    config = OptimiserConfig(**({"iterations": 1, "lr": 1.0, "momentum": 0.0, "weight_decay": 0.0} | changes))
    module = Line()
    learner = Learner(module, [{"params": list(module.parameters()), "lr": config.lr}], config)
    learner.start(start_fabric("fp32", "cpu", seed=0))
    learner.clear()
    for part in torch.tensor(x).chunk(config.accumulate):
        learner.backward(learner.wrapped(part)[0])
    return module, learner.step(0)


def test_a_step_in_parts_is_the_step_of_the_whole_batch() -> None:
    # Gradients: mean x = 2 for w, 1 for b.
    for accumulate in (1, 2):
        module, _ = stepped([1.0, 2.0, 0.0, 5.0], accumulate=accumulate)
        assert (module.w.item(), module.b.item()) == (1 - 2, 0)


def test_a_gradient_longer_than_the_limit_is_shortened_to_it() -> None:
    module, values = stepped([4 / 3], clip_norm=1.0, accumulate=1)
    assert values["norm_before_clip"].item() == pytest.approx(5 / 3)
    assert 1 - module.w.item() == pytest.approx(0.8) and 1 - module.b.item() == pytest.approx(0.6)
    module, values = stepped([4 / 3], clip_norm=2.0)
    assert 1 - module.w.item() == pytest.approx(4 / 3)


def test_adamw_spares_vectors_its_weight_decay_and_sgd_does_not() -> None:
    # A gradient of 0 for w; its decay alone moves it: 1 - lr * decay.
    module, _ = stepped([0.0], optimiser="adamw", lr=0.1, weight_decay=0.5)
    # Adam's first step is lr long, whatever the gradient: b has one of 1.
    assert module.w.item() == pytest.approx(0.95) and module.b.item() == pytest.approx(0.9)
    module, _ = stepped([0.0], lr=0.1, weight_decay=0.5)
    assert module.w.item() == pytest.approx(0.95) and module.b.item() == pytest.approx(1 - 0.1 * 1.5)


def test_the_log_says_what_an_optimiser_does_not_read() -> None:
    assert "(momentum is not used)" in told(OptimiserConfig(optimiser="adamw"), "fp32")
    line = told(OptimiserConfig(clip_norm=2, accumulate=4, ema=0.99), "fp32")
    assert line.startswith("sgd, momentum 0.9, lr 0.01, weight decay 0.0005, precision fp32, clipped to norm 2, ")


def test_a_batch_that_its_parts_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="accumulate = 3 does not divide batch = 8"):
        OptimiserConfig(batch=8, accumulate=3)


class Growing(nn.Module):
    """Its gradient overflows fp16's largest number under the scaler's first factor, 2**16, and not under 2**14."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        # The product's gradient passes through fp16, as autocast computes it.
        y = (torch.full((1, 1), 3.0) @ self.w).float().sum()
        return y, {"y": y.detach()}


def scaled(scratch: Path, iterations: int) -> tuple[Growing, list[dict], dict]:
    fabric = Fabric(accelerator="cpu", devices=1, plugins=MixedPrecision("16-mixed", "cpu"))
    module = Growing()
    config = OptimiserConfig(iterations=iterations, lr=1e-3, clip_norm=10.0, precision="fp16-mixed")

    def batches(start: int):
        yield from (torch.zeros(1) for _ in range(start, iterations))

    history = train(fabric, module, batches, lambda i, x: [(x,)], config, context(scratch), "fit")
    return module, history, torch.load(scratch / "fit.pt", weights_only=True)


def test_a_step_that_the_scaler_leaves_out_is_no_error_and_its_factor_is_resumed(tmp_path: Path) -> None:
    module, history, state = scaled(tmp_path, 3)
    assert history[0]["norm_before_clip"] is None and history[-1]["norm_before_clip"] == pytest.approx(3)
    assert module.w.item() < 1
    assert state["parts"]["precision"]["scale"] == 2.0**14


def test_fp16_that_takes_no_step_at_all_is_told(tmp_path: Path) -> None:
    class Overflowing(Growing):
        def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            y, _ = super().forward(x)
            return y * 1e38, {"y": y.detach()}

    fabric = Fabric(accelerator="cpu", devices=1, plugins=MixedPrecision("16-mixed", "cpu"))
    config = OptimiserConfig(iterations=40, precision="fp16-mixed", momentum=0)

    def batches(start: int):
        yield from (torch.zeros(1) for _ in range(start, 40))

    with pytest.raises(TrainingError, match="no step is taken: choose precision bf16-mixed"):
        train(fabric, Overflowing(), batches, lambda i, x: [(x,)], config, context(tmp_path), "fit")


def test_averaged_weights_are_published_and_the_plain_ones_go_on(tmp_path: Path) -> None:
    plain, _ = fitted(tmp_path / "plain")
    averaged, _ = fitted(tmp_path / "ema", ema=0.99)
    state = torch.load(tmp_path / "ema" / "fit.pt", weights_only=True)["parts"]
    assert torch.equal(state["module"]["module"]["net.0.weight"], plain["net.0.weight"])
    assert torch.equal(state["keeper"]["average"]["net.0.weight"], averaged["net.0.weight"])
    assert not torch.equal(averaged["net.0.weight"], plain["net.0.weight"])
    assert not torch.equal(averaged["net.1.running_mean"], plain["net.1.running_mean"])
    assert averaged["net.1.num_batches_tracked"] == plain["net.1.num_batches_tracked"] == 12
