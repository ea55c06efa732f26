"""Random states that travel with a checkpoint."""

import pytest
import torch

from stages.training.generators import go_on, states_of_all


def test_a_training_on_the_cpu_opens_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*state: object) -> None:
        raise AssertionError("the GPU may be another user's")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", opened)
    monkeypatch.setattr(torch.cuda, "set_rng_state", opened)
    states = states_of_all()
    drawn = torch.rand(3)
    assert states.keys() == {"cpu"}
    go_on({**states, "cuda": states["cpu"]}, seed=0, iteration=1, log=print)
    assert torch.equal(torch.rand(3), drawn)
