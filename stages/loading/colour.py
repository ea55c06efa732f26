"""Colour jitter: brightness, contrast, saturation and hue as one affine map of RGB, so that it costs one pass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stages.training.config import Jitter

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of R, G, B in the grey value (ITU-R BT.601)."""
TO_YIQ = np.array([LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
TO_RGB = np.linalg.inv(TO_YIQ)


@dataclass(frozen=True)
class ColourDraw:
    """The factors of one sample."""

    brightness: float
    contrast: float
    saturation: float
    turn: float
    """Of the hue, as a share of the circle."""


def draw_colour(jitter: Jitter, rng: np.random.Generator) -> ColourDraw:
    """Draw the four factors, always in the same order."""
    brightness, contrast, saturation = (
        rng.uniform(1 - x, 1 + x) for x in (jitter.brightness, jitter.contrast, jitter.saturation)
    )
    return ColourDraw(brightness, contrast, saturation, rng.uniform(-jitter.hue, jitter.hue))


def colour_matrix(drawn: ColourDraw, mean_rgb: tuple[float, float, float]) -> np.ndarray:
    """The map of RGB (0..255) as float32 3 x 4: brightness, contrast, saturation, hue, in this order.

    `mean_rgb` is the picture's mean colour, around whose grey the contrast changes. Nothing is clipped in between.
    """
    linear = drawn.brightness * drawn.contrast * np.eye(3)
    grey = float(LUMA @ np.asarray(mean_rgb)) * drawn.brightness
    shift = np.full(3, (1 - drawn.contrast) * grey)
    saturate = drawn.saturation * np.eye(3) + (1 - drawn.saturation) * np.tile(LUMA, (3, 1))
    turned = hue_rotation(drawn.turn) @ saturate
    return np.column_stack([turned @ linear, turned @ shift]).astype(np.float32)


def hue_rotation(turn: float) -> np.ndarray:
    """Rotation of RGB around the grey axis in YIQ by a share of the circle, 3 x 3."""
    cosine, sine = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
    rotation = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return TO_RGB @ rotation @ TO_YIQ
