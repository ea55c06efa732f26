"""How a picture becomes a network's input and its answer goes back: one rule for training and the board.

numpy and Pillow alone, Python 3.10, no import of this project: the file also travels with a bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image, ImageOps

PAD_RGB = (124, 116, 104)
"""ImageNet's mean colour: what stands where there is no picture."""

Resize = Literal["stretch", "letterbox"]

CONTRACT: dict[str, Any] = {
    "decoder": "Pillow",
    "exif_orientation": "applied",
    "color": "RGB",
    "interpolation": "Pillow BILINEAR",
    "pad_rgb": list(PAD_RGB),
    "layout": "NHWC",
    "dtype": "uint8",
    "labels_back": "nearest",
}
"""What this file always does; preprocess.json says so beside the sizes, for whoever reads it in another language."""


@dataclass(frozen=True)
class Preprocess:
    """The grid that a network reads and how pictures of other sizes come to it."""

    height: int
    """Rows, in pixels."""
    width: int
    """Columns, in pixels."""
    resize: Resize = "stretch"
    """`stretch` fills the grid; `letterbox` keeps the aspect ratio and pads evenly on two sides."""

    def to_json(self) -> dict[str, Any]:
        """preprocess.json as plain values: the grid, the resize rule and `CONTRACT`."""
        return {**asdict(self), **CONTRACT}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Preprocess:
        """Inverse of `to_json`; ValueError where the values ask for something that this file does not do."""
        for name, done in CONTRACT.items():
            if values.get(name) != done:
                raise ValueError(
                    f"preprocess.json asks for {name} {values.get(name)!r}, preprocess.py does {done!r}; "
                    "use the two of one export"
                )
        if values.get("resize") not in get_args(Resize):
            known = " or ".join(get_args(Resize))
            raise ValueError(f"preprocess.json asks for resize {values.get('resize')!r}, preprocess.py knows {known}")
        return cls(int(values["height"]), int(values["width"]), values["resize"])


def read_image(path: Path) -> np.ndarray:
    """Decode a picture upright: uint8 height x width x 3, RGB, its EXIF orientation applied.

    Raises what Pillow raises for a file that it cannot read (mostly OSError).
    """
    with Image.open(path) as image:
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def placement(pre: Preprocess, original_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where a picture of `original_hw` stands on the network's grid: (top, left, height, width) in pixels."""
    if pre.resize == "stretch":
        return 0, 0, pre.height, pre.width
    height, width = original_hw
    scale = min(pre.height / height, pre.width / width)
    fitted_h, fitted_w = max(1, round(height * scale)), max(1, round(width * scale))
    return (pre.height - fitted_h) // 2, (pre.width - fitted_w) // 2, fitted_h, fitted_w


def fit(image_HWC: np.ndarray, pre: Preprocess) -> np.ndarray:
    """A picture (uint8 height x width x 3) on the network's grid, by Pillow's antialiased bilinear filter."""
    top, left, height, width = placement(pre, image_HWC.shape[:2])
    if image_HWC.shape[:2] != (height, width):
        resized = Image.fromarray(image_HWC).resize((width, height), Image.Resampling.BILINEAR)
        image_HWC = np.array(resized)
    if (height, width) == (pre.height, pre.width):
        return image_HWC
    canvas_HWC = np.full((pre.height, pre.width, 3), PAD_RGB, dtype=np.uint8)
    canvas_HWC[top : top + height, left : left + width] = image_HWC
    return canvas_HWC


def restore(labels_HW: np.ndarray, pre: Preprocess, original_hw: tuple[int, int]) -> np.ndarray:
    """Labels on the network's grid (uint8) back on the picture's own by nearest, without letterbox bars."""
    top, left, height, width = placement(pre, original_hw)
    return nearest_resize(labels_HW[top : top + height, left : left + width], original_hw)


def nearest_resize(labels_HW: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Labels (uint8) of `size_hw`: each takes the label under its centre."""
    if labels_HW.shape == size_hw:
        return labels_HW
    height, width = size_hw
    return np.array(Image.fromarray(labels_HW).resize((width, height), Image.Resampling.NEAREST))
