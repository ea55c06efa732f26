"""Values are read at once on a CPU and now and then on a GPU, and one that is not finite is named either way."""

import pytest
import torch

from pipeline.errors import TrainingError
from stages.training.record.readings import READ_EVERY, Readings


def scalar(value: float) -> dict[str, torch.Tensor]:
    return {"total": torch.tensor(value), "kd": torch.tensor(value)}


def test_a_cpu_s_values_are_read_in_every_step() -> None:
    readings = Readings("fit", on_cpu=True, scaled=False)
    readings.note(0, scalar(1.5))
    assert readings.latest == {"total": 1.5, "kd": 1.5} and not readings.waiting


def test_a_gpu_s_values_wait_and_the_first_broken_step_is_named() -> None:
    readings = Readings("fit", on_cpu=False, scaled=False)
    for iteration in range(READ_EVERY - 1):
        readings.note(iteration, scalar(float("inf") if iteration >= 4 else 1.0))
    assert readings.latest == {} and len(readings.waiting) == READ_EVERY - 1
    with pytest.raises(TrainingError, match="fit: not finite at iteration 4: kd: "):
        readings.note(READ_EVERY - 1, scalar(1.0))


def test_the_total_is_named_where_no_term_broke() -> None:
    readings = Readings("fit", on_cpu=True, scaled=False)
    with pytest.raises(TrainingError, match="iteration 7: total: "):
        readings.note(7, {"total": torch.tensor(float("nan")), "kd": torch.tensor(1.0)})


@pytest.mark.parametrize("scaled", [True, False])
def test_an_infinite_norm_is_the_scaler_s_affair_where_there_is_one(scaled: bool) -> None:
    readings = Readings("fit", on_cpu=True, scaled=scaled)
    values = {**scalar(1.0), "norm_before_clip": torch.tensor(float("inf"))}
    if scaled:
        readings.note(0, values)
        return
    with pytest.raises(TrainingError, match="iteration 0: norm_before_clip"):
        readings.note(0, values)
