"""A network as a predictor: whole, by windows, at several scales, mirrored."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stages.evaluation.predict import probabilities, torch_predictor, windowed_logits, windows
from stages.training.config import EvaluationConfig

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3), dtype=np.uint8)


class Coarse(nn.Module):
    """Logits at half size: class 0 = red, class 1 = green."""

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        return {"logits": nn.functional.avg_pool2d(images_NCHW[:, :2], 2)}


class Pointwise(nn.Module):
    """Each pixel's logits are its own channels: how an image is cut up makes no difference."""

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        return {"logits": images_NCHW.clone()}


class Identity(nn.Module):
    def forward(self, images_NHWC: Tensor) -> Tensor:
        return images_NHWC.permute(0, 3, 1, 2).float()


def images_NCHW() -> Tensor:
    return Identity()(torch.from_numpy(IMAGES)) / 255


def test_logits_are_resized_with_aligned_corners() -> None:
    labels = torch_predictor(Coarse().eval(), Identity(), "cpu")(IMAGES)
    logits = Coarse()(Identity()(torch.from_numpy(IMAGES)))["logits"]
    expected = nn.functional.interpolate(logits, size=(8, 12), mode="bilinear", align_corners=True).argmax(1)
    assert labels.dtype == np.uint8 and np.array_equal(labels, expected.numpy())


@pytest.mark.parametrize(
    ("length", "window", "stride", "starts"),
    [(10, 4, 0.5, [0, 2, 4, 6]), (10, 4, 1, [0, 4, 6]), (8, 4, 1, [0, 4]), (3, 4, 0.5, [0]), (5, 4, 1, [0, 1])],
)
def test_windows_cover_the_axis(length: int, window: int, stride: float, starts: list[int]) -> None:
    found = list(windows(length, window, stride))
    assert [each.start for each in found] == starts
    assert all(each.stop - each.start == min(window, length) for each in found) and found[-1].stop == length


def test_windows_of_a_pointwise_network_equal_the_whole() -> None:
    seen = EvaluationConfig(window_px=(5, 5), stride=0.6)
    assert torch.allclose(windowed_logits(Pointwise(), images_NCHW(), seen), images_NCHW(), atol=1e-6)


def test_the_mirror_image_is_averaged_in() -> None:
    images = images_NCHW()
    mean = probabilities(Coarse(), images, EvaluationConfig(mirror=True))
    whole = EvaluationConfig()
    both = [probabilities(Coarse(), images, whole), probabilities(Coarse(), images.flip(-1), whole).flip(-1)]
    assert torch.allclose(mean, (both[0] + both[1]) / 2, atol=1e-6)


def test_scales_are_averaged_and_sum_to_one() -> None:
    images = images_NCHW()
    mean = probabilities(Coarse(), images, EvaluationConfig(scales=(0.5, 1.0, 1.5)))
    assert mean.shape == (2, 2, 8, 12) and torch.allclose(mean.sum(dim=1), torch.ones(2, 8, 12), atol=1e-5)
    one = probabilities(Coarse(), images, EvaluationConfig())
    assert not torch.allclose(mean, one, atol=1e-3)


def test_a_predictor_takes_the_options() -> None:
    seen = EvaluationConfig(window_px=(8, 8), scales=(0.75, 1.25), mirror=True)
    labels = torch_predictor(Coarse().eval(), Identity(), "cpu", seen)(IMAGES)
    assert labels.shape == (2, 8, 12) and labels.dtype == np.uint8
