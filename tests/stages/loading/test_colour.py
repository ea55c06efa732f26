"""Colour jitter as one affine map equals torchvision's steps."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from stages.loading.colour import ColourDraw, colour_matrix, draw_colour, hue_rotation
from stages.training.config import Jitter

PICTURE = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.3 + 0.35
"""Away from 0 and 1, so that no step clips."""


def mapped(drawn: ColourDraw) -> np.ndarray:
    pixels = PICTURE.double().numpy() * 255
    matrix = colour_matrix(drawn, tuple(pixels.mean(axis=(1, 2))))
    return (np.einsum("dc,chw->dhw", matrix[:, :3], pixels) + matrix[:, 3, None, None]) / 255


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (ColourDraw(1.2, 1, 1, 0), tv.adjust_brightness(PICTURE, 1.2)),
        (ColourDraw(1, 0.7, 1, 0), tv.adjust_contrast(PICTURE, 0.7)),
        (ColourDraw(1, 1, 1.4, 0), tv.adjust_saturation(PICTURE, 1.4)),
        (
            ColourDraw(0.9, 1.2, 0.6, 0),
            tv.adjust_saturation(tv.adjust_contrast(tv.adjust_brightness(PICTURE, 0.9), 1.2), 0.6),
        ),
    ],
)
def test_equals_torchvision(drawn: ColourDraw, expected: torch.Tensor) -> None:
    assert np.abs(mapped(drawn) - expected.numpy()).max() < 2e-3


def test_hue_keeps_greys_and_turns_back() -> None:
    assert np.allclose(hue_rotation(0.13) @ np.ones(3), np.ones(3), atol=1e-5)
    assert np.allclose(hue_rotation(0.13) @ hue_rotation(-0.13), np.eye(3), atol=1e-9)
    assert not np.allclose(hue_rotation(0.13), np.eye(3), atol=0.1)


def test_draws_stay_in_their_ranges() -> None:
    rng = np.random.default_rng(0)
    jitter = Jitter(brightness=0.2, saturation=0.5, hue=0.1)
    for _ in range(100):
        drawn = draw_colour(jitter, rng)
        assert 0.8 <= drawn.brightness <= 1.2 and drawn.contrast == 1
        assert 0.5 <= drawn.saturation <= 1.5 and abs(drawn.turn) <= 0.1
