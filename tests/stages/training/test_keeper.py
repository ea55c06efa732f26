"""The moving average by hand, and what is said of the weights that are published."""

import pytest
import torch
from torch import nn

from stages.training.average import Average
from stages.training.config import TrainingConfig
from stages.training.keeper import Keeper, kept, sentence


def test_the_average_by_hand() -> None:
    module = nn.BatchNorm1d(1)
    average = Average(module, decay=0.5)
    for steps, value in ((1, 2.0), (2, 3.0)):
        with torch.no_grad():
            module.weight.fill_(value)
            module.running_mean.fill_(value)
            module.num_batches_tracked.fill_(steps)
        average.follow(steps)
    # Decays (1 + 1) / (10 + 1) and (1 + 2) / (10 + 2), both below 0.5; the weight began at 1, the mean at 0.
    weight = 0.25 * (2 / 11 * 1 + 9 / 11 * 2) + 0.75 * 3
    mean = 0.25 * (9 / 11 * 2) + 0.75 * 3
    assert average.state["weight"].item() == pytest.approx(weight)
    assert average.state["running_mean"].item() == pytest.approx(mean)
    assert average.state["num_batches_tracked"].item() == 2
    average.swap()
    assert module.weight.item() == pytest.approx(weight)
    average.swap()
    assert module.weight.item() == 3.0
    for steps in range(90, 100):
        average.follow(steps)
    assert average.state["weight"].item() == pytest.approx(3 + 0.5**10 * (weight - 3))


def test_scores_are_due_every_few_steps_and_at_the_end() -> None:
    keeper = Keeper(nn.Linear(1, 1), 0.0, lambda: 0.5, every=4)
    assert [done for done in range(11) if keeper.due(done, 10)] == [4, 8, 10]
    assert not any(Keeper(nn.Linear(1, 1), 0.0).due(done, 10) for done in range(11))


HISTORY = [
    {"iteration": 3, "val_miou": 0.25},
    {"iteration": 7, "val_miou": 0.5},
    {"iteration": 8},
    {"iteration": 9, "val_miou": 0.5},
]


def test_what_is_published_is_recorded() -> None:
    last = TrainingConfig(validate_iterations=4)
    best = TrainingConfig(validate_iterations=4, keep="best", ema=0.999)
    assert kept(HISTORY, last) == {"kept": "last", "steps": 10, "val_miou": 0.5}
    assert kept(HISTORY, best) == {"kept": "best", "steps": 8, "val_miou": 0.5, "ema": 0.999}
    assert kept([{"iteration": 9}], TrainingConfig()) == {"kept": "last", "steps": 10}
    assert kept([], TrainingConfig()) == {}
    told = "Weights: the best on val, after 8 steps, moving average with decay 0.999, mIoU 50.00 % on val."
    assert sentence(kept(HISTORY, best)) == told


def test_the_best_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="keep = 'best' needs validate_iterations"):
        TrainingConfig(keep="best")
