"""What it costs to read a picture and to cut a crop out of it, on one core."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from stages.loading.augment import Augmentation, crop_into, draw

GRAIN_PX = 8
"""Side of the patches of a random picture: noise of single pixels would compress like no photograph."""
REPEATS = 5


def seconds_to_read(size_px: tuple[int, int], png: bool) -> float:
    """Seconds to decode a random picture of this size and its label."""
    rng = np.random.default_rng(0)
    height, width = size_px
    coarse = rng.integers(0, 256, (-(-height // GRAIN_PX), -(-width // GRAIN_PX), 3), dtype=np.uint8)
    picture_HWC = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    files = [encoded(picture_HWC, "PNG" if png else "JPEG"), encoded(picture_HWC[..., 0] // 32, "PNG")]
    return fastest(lambda: [np.asarray(Image.open(io.BytesIO(file))) for file in files])


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    """The bytes of a picture's file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def seconds_to_crop(size_px: tuple[int, int], augmentation: Augmentation) -> float:
    """Seconds to cut one crop, the mean over a few draws."""
    rng = np.random.default_rng(0)
    image_HWC, labels_HW = np.zeros((*size_px, 3), np.uint8), np.zeros(size_px, np.uint8)
    crop_HWC, crop_HW = np.zeros((*augmentation.crop_px, 3), np.uint8), np.zeros(augmentation.crop_px, np.uint8)

    def crop() -> None:
        for _ in range(REPEATS):
            crop_into(image_HWC, labels_HW, draw(size_px, augmentation, rng), crop_HWC, crop_HW)

    return fastest(crop) / REPEATS


def fastest(call: Callable[[], object]) -> float:
    """Seconds of the fastest of a few calls."""
    found = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return min(found)
