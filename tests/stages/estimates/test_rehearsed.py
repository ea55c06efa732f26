"""How a training is made small enough to be tried."""

import pytest

from stages.estimates.rehearsed import Stream, Subject, macs, shrunk, smaller, tried
from stages.nets.config import NetConfig
from stages.training.config import TrainingConfig


def pixels(size_px: tuple[int, int], batch: int) -> float:
    return batch * size_px[0] * size_px[1]


def test_first_the_batch_and_then_the_crop() -> None:
    assert shrunk((512, 512), 8, pixels, most=1e9) == ((512, 512), 8)
    assert shrunk((512, 512), 8, pixels, most=4 * 512 * 512) == ((512, 512), 4)
    assert shrunk((512, 512), 8, pixels, most=2 * 256 * 256) == ((256, 256), 2)
    assert shrunk((512, 1024), 1, pixels, most=64 * 128) == ((64, 128), 1)
    assert shrunk((64, 64), 2, pixels, most=1) == ((64, 64), 2)


@pytest.mark.parametrize(("accumulate", "batch"), [(1, 2), (4, 8)])
def test_a_part_of_a_batch_keeps_two_images(accumulate: int, batch: int) -> None:
    # Batch norm over a pooled cell takes no single image.
    config = TrainingConfig(batch=8 * accumulate, accumulate=accumulate, crop_px=(1024, 1024))
    crop_px, found, scale = tried(Subject(config, NetConfig(net="pspnet_resnet18"), {}, 19, (1024, 1024), "cpu"))
    assert found == batch
    # Pooled cells do not shrink with the crop.
    assert scale == pytest.approx(4 * 1024 * 1024 / (crop_px[0] * crop_px[1]), rel=0.25)


def test_half_of_a_length_in_whole_blocks() -> None:
    assert [smaller(length) for length in (512, 360, 129, 100)] == [256, 192, 128, 64]


def test_macs_are_counted() -> None:
    found = macs(NetConfig(net="pspnet_resnet18"), 19, (512, 1024))
    assert found == pytest.approx(131e9, rel=0.1)


def test_steps_are_timed_between_two_requests() -> None:
    stream = Stream("batch")
    assert list(stream.batches(0)).count("batch") >= 4
    stream.asked_s = [0.0, 5.0, 6.0, 8.0, 11.0]
    assert stream.step_s() == 2.0
    assert stream.first_took_longer_s() == 3.0
