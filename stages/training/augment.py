"""Random scale, crop and mirror of one image with its label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.errors import RecipeError
from stages.datasets.layout import IGNORE
from stages.preprocess import PAD_RGB


@dataclass(frozen=True)
class Augmentation:
    """What is drawn at random for each sample; RecipeError for a range that is empty."""

    crop_px: tuple[int, int]
    """Height and width of the crop."""
    scale: tuple[float, float] = (0.7, 2.1)
    """Range of the scale, drawn uniformly, relative to the image given."""
    mirror: bool = True
    """Whether half of the crops are mirrored."""

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1] or min(self.crop_px) < 1:
            raise RecipeError(
                f"scale {list(self.scale)} needs 0 < low <= high, crop_px {list(self.crop_px)} at least 1"
            )


@dataclass(frozen=True)
class Span:
    """One axis of a crop, on the grid of the scaled image."""

    source: int
    """Pixels of the image given."""
    scaled: int
    """Pixels of the scaled image."""
    first: int
    """First pixel of the scaled image inside the crop."""
    count: int
    """How many of its pixels the crop holds."""
    offset: int
    """Where they start in the crop; what is before and after them is padding."""

    @property
    def box(self) -> tuple[float, float]:
        """The same stretch on the given image's grid."""
        ratio = self.source / self.scaled
        return self.first * ratio, (self.first + self.count) * ratio

    @property
    def nearest(self) -> np.ndarray:
        """Pixel of the given image under the centre of each pixel of the crop."""
        pixels = np.arange(self.first, self.first + self.count)
        return (2 * pixels + 1) * self.source // (2 * self.scaled)

    @property
    def target(self) -> slice:
        """Where the pixels go in the crop."""
        return slice(self.offset, self.offset + self.count)


def draw_span(source: int, scale: float, crop: int, rng: np.random.Generator) -> Span:
    """Crop uniformly inside the scaled image, or place that uniformly inside a larger crop."""
    scaled = max(1, round(source * scale))
    low, high = sorted((0, scaled - crop))
    start = int(rng.integers(low, high, endpoint=True))
    return Span(source, scaled, max(0, start), min(scaled, crop), max(0, -start))


def random_crop(
    image_HWC: np.ndarray, labels_HW: np.ndarray, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """An image (uint8 H x W x 3) and its label (uint8 H x W), scaled, cropped and perhaps mirrored alike.

    The image is resampled bilinearly, the label by nearest; what lies outside is the mean colour and 255.
    """
    scale = rng.uniform(*augmentation.scale)
    rows, columns = (
        draw_span(source, scale, crop, rng) for source, crop in zip(labels_HW.shape, augmentation.crop_px, strict=True)
    )
    step = -1 if augmentation.mirror and rng.random() < 0.5 else 1
    crop_HWC = np.empty((*augmentation.crop_px, 3), dtype=np.uint8)
    crop_HW = np.full(augmentation.crop_px, IGNORE, dtype=np.uint8)
    if (rows.count, columns.count) != augmentation.crop_px:
        crop_HWC[:] = PAD_RGB
    crop_HWC[:, ::step][rows.target, columns.target] = resample(image_HWC, rows, columns)
    crop_HW[:, ::step][rows.target, columns.target] = labels_HW[rows.nearest][:, columns.nearest]
    return crop_HWC, crop_HW


def resample(image_HWC: np.ndarray, rows: Span, columns: Span) -> np.ndarray:
    """The crop's part of the scaled image, equal to scaling all of it and cutting after that."""
    box = (columns.box[0], rows.box[0], columns.box[1], rows.box[1])
    size = (columns.count, rows.count)
    return np.asarray(Image.fromarray(image_HWC).resize(size, Image.Resampling.BILINEAR, box=box))
