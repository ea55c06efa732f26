"""Batches and splits that the processes cannot share."""

import pytest

from pipeline.errors import TrainingError
from pipeline.group.ranks import ALONE, Group
from stages import distill, position, teacher
from stages.training.share import check_batch, check_images, told_batch


@pytest.mark.parametrize(("batch", "world"), [(1, 1), (7, 1), (8, 2), (8, 8)])
def test_what_can_be_shared(batch: int, world: int) -> None:
    check_batch("teacher", teacher.Config(batch=batch), Group(world=world))


@pytest.mark.parametrize(
    ("batch", "world", "advice"),
    [
        (8, 3, "set it to 6 or 9, or start 2 processes"),
        (6, 4, "set it to 4 or 8, or start 3 processes"),
        (2, 4, "set it to 4, or start 2 processes"),
        (1, 2, "set it to 2, or start 1 process"),
    ],
)
def test_what_cannot(batch: int, world: int, advice: str) -> None:
    with pytest.raises(TrainingError) as caught:
        check_batch("teacher", teacher.Config(batch=batch), Group(world=world))
    wanted = f"teacher.batch = {batch} cannot be shared equally by {world} processes: {advice}"
    assert str(caught.value) == wanted


@pytest.mark.parametrize("stage", [teacher, position, distill])
def test_it_is_said_before_the_first_stage_runs(stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "started", lambda: Group(world=3))
    with pytest.raises(TrainingError, match=r"\.batch = 8 cannot be shared equally by 3 processes"):
        stage.rehearse(stage.Config(), {"teacher": teacher.Config()}, "cpu")


def test_a_share_must_come_in_equal_parts() -> None:
    config = teacher.Config(batch=8, accumulate=4)
    check_batch("teacher", config, Group(world=2))
    advice = "by 4 processes, each in 4 parts: set it to 16, or start 2 processes"
    with pytest.raises(TrainingError, match=advice):
        check_batch("teacher", config, Group(world=4))


def test_nothing_is_shared_where_nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "started", lambda: Group(world=3, local_world=3))
    teacher.rehearse(teacher.Config(iterations=0), {}, "cpu")


def test_more_processes_than_images() -> None:
    check_images(2, Group(world=2))
    with pytest.raises(TrainingError, match="3 processes and images to train on: 2: start no more processes than that"):
        check_images(2, Group(world=3))


def test_how_a_batch_is_told() -> None:
    assert told_batch(8, ALONE) == "batch 8"
    assert told_batch(8, Group(world=2)) == "batch 8 (4 in each of 2 processes)"
