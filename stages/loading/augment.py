"""Random scale, crop, mirror and colour of one image with its label: drawn once, applied by OpenCV or by torch.

A crop is cut out of the image before it is scaled, so that its cost depends on the crop alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.errors import RecipeError
from stages.datasets.layout import IGNORE
from stages.loading.colour import ColourDraw, colour_matrix, draw_colour
from stages.preprocess import PAD_RGB
from stages.training.config import Jitter


@dataclass(frozen=True)
class Augmentation:
    """What is drawn at random for each sample; RecipeError for a range that is empty."""

    crop_px: tuple[int, int]
    """Height and width of the crop."""
    scale: tuple[float, float] = (0.7, 2.1)
    """Range of the scale, drawn uniformly, relative to the image given."""
    mirror: bool = True
    """Whether half of the crops are mirrored."""
    jitter: Jitter = field(default_factory=Jitter)
    """Ranges of brightness, contrast, saturation and hue."""

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1] or min(self.crop_px) < 1:
            raise RecipeError(
                f"scale {list(self.scale)} needs 0 < low <= high, crop_px {list(self.crop_px)} at least 1"
            )


@dataclass(frozen=True)
class Span:
    """One axis of a crop: `window` pixels of the image become `count` pixels of the crop."""

    first: int
    """First pixel of the image that the crop shows."""
    window: int
    """How many of its pixels the crop shows."""
    offset: int
    """Where they start in the crop; what is before and after them is padding."""
    count: int
    """How many pixels of the crop they fill."""

    @property
    def source(self) -> slice:
        """The part of the image."""
        return slice(self.first, self.first + self.window)

    @property
    def nearest(self) -> np.ndarray:
        """Pixel of the image under the centre of each pixel of the crop that it fills."""
        return self.first + (2 * np.arange(self.count) + 1) * self.window // (2 * self.count)

    @property
    def target(self) -> slice:
        """The part of the crop."""
        return slice(self.offset, self.offset + self.count)


@dataclass(frozen=True)
class Draw:
    """Everything that chance decided for one sample."""

    rows: Span
    columns: Span
    mirrored: bool
    colour: ColourDraw | None = None


def draw_span(source: int, scale: float, crop: int, rng: np.random.Generator) -> Span:
    """Crop uniformly inside the scaled image, or place that uniformly inside a larger crop.

    The window has whole pixels, so that the scale of a crop is `scale` to within half a pixel.
    """
    scaled = max(1, round(source * scale))
    if scaled < crop:
        return Span(0, source, int(rng.integers(0, crop - scaled, endpoint=True)), scaled)
    window = min(source, max(1, round(crop / scale)))
    return Span(int(rng.integers(0, source - window, endpoint=True)), window, 0, crop)


def draw(source_hw: tuple[int, int], augmentation: Augmentation, rng: np.random.Generator) -> Draw:
    """Draw for an image of height and width `source_hw`, always in the same order."""
    scale = rng.uniform(*augmentation.scale)
    rows, columns = (
        draw_span(source, scale, crop, rng) for source, crop in zip(source_hw, augmentation.crop_px, strict=True)
    )
    mirrored = augmentation.mirror and rng.random() < 0.5
    return Draw(rows, columns, mirrored, None if augmentation.jitter.off else draw_colour(augmentation.jitter, rng))


def crop_into(
    image_HWC: np.ndarray, labels_HW: np.ndarray, drawn: Draw, crop_HWC: np.ndarray, crop_HW: np.ndarray
) -> None:
    """Write the crop of an image (uint8 H x W x 3) and its label (uint8 H x W) into arrays of the crop's size.

    The image is resampled bilinearly, the label by nearest; what lies outside is the mean colour and 255.
    """
    part, size = (drawn.rows.source, drawn.columns.source), (drawn.columns.count, drawn.rows.count)
    picture_HWC = cv2.resize(image_HWC[part], size, interpolation=cv2.INTER_LINEAR)
    # OpenCV, torch and Pillow each round ties in their own way: one rule of integers serves here and on a device.
    ids_HW = labels_HW[drawn.rows.nearest][:, drawn.columns.nearest]
    if drawn.colour:
        red, green, blue, _ = cv2.mean(picture_HWC)
        picture_HWC = cv2.transform(picture_HWC, colour_matrix(drawn.colour, (red, green, blue)))
    if drawn.mirrored:
        picture_HWC, ids_HW = cv2.flip(picture_HWC, 1), cv2.flip(ids_HW, 1)
    if picture_HWC.shape != crop_HWC.shape:
        picture_HWC = padded(picture_HWC, drawn, crop_HW.shape)
        crop_HW[:] = IGNORE
    crop_HWC[:] = picture_HWC
    crop_HW[drawn.rows.target, drawn.columns.target] = ids_HW


def padded(picture_HWC: np.ndarray, drawn: Draw, crop_px: tuple[int, int]) -> np.ndarray:
    """A picture in its place in a crop of the mean colour."""
    top, left = drawn.rows.offset, drawn.columns.offset
    bottom, right = crop_px[0] - top - drawn.rows.count, crop_px[1] - left - drawn.columns.count
    return cv2.copyMakeBorder(picture_HWC, top, bottom, left, right, cv2.BORDER_CONSTANT, value=PAD_RGB)


def crop_on_device(
    images_NHWC: Tensor, labels_NHW: Tensor, draws: Sequence[Draw], crop_px: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """`crop_into` for whole images of a batch (uint8) on their device; equal to it but for the last bits of colours."""
    crops_NHWC = images_NHWC.new_empty((len(draws), *crop_px, 3))
    crops_NHWC[:] = torch.tensor(PAD_RGB, dtype=torch.uint8, device=images_NHWC.device)
    crops_NHW = labels_NHW.new_full((len(draws), *crop_px), IGNORE)
    for n, drawn in enumerate(draws):
        part, target = (drawn.rows.source, drawn.columns.source), (drawn.rows.target, drawn.columns.target)
        size = (drawn.rows.count, drawn.columns.count)
        picture_CHW = resample(images_NHWC[n][part].permute(2, 0, 1), size)
        if drawn.colour:
            picture_CHW = recolour(picture_CHW.round(), drawn.colour)
        rows, columns = (torch.from_numpy(span.nearest).to(labels_NHW.device) for span in (drawn.rows, drawn.columns))
        ids_HW = labels_NHW[n][rows][:, columns]
        if drawn.mirrored:
            picture_CHW, ids_HW = picture_CHW.flip(-1), ids_HW.flip(-1)
        crops_NHWC[n][target] = picture_CHW.round().to(torch.uint8).permute(1, 2, 0)
        crops_NHW[n][target] = ids_HW
    return crops_NHWC, crops_NHW


def resample(part_CHW: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """A part of an image (uint8) at another size, float32 0..255, bilinear without antialiasing, as OpenCV does it."""
    return F.interpolate(part_CHW[None].float(), size=size_hw, mode="bilinear", align_corners=False)[0]


def recolour(picture_CHW: Tensor, colour: ColourDraw) -> Tensor:
    """A picture (float 0..255, C x H x W) under the drawn colour map."""
    red, green, blue = picture_CHW.mean(dim=(1, 2)).tolist()
    matrix = torch.from_numpy(colour_matrix(colour, (red, green, blue))).to(picture_CHW.device)
    mapped_CHW = torch.einsum("dc,chw->dhw", matrix[:, :3], picture_CHW) + matrix[:, 3, None, None]
    return mapped_CHW.clamp(0, 255)
