"""The pictures that the student segments worst and best, small enough to stand inside a report."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.stage import Context
from stages.datasets.index import Index, images_root, read_index
from stages.datasets.layout import IGNORE
from stages.datasets.pixels import read_fitted
from stages.metrics import Confusion

Predict = Callable[[np.ndarray], np.ndarray]
"""uint8 H x W x 3 RGB -> uint8 H x W class ids."""

EACH = 3
"""Worst pictures shown, and best ones."""
WIDTH_PX = 256
"""Widest embedded picture."""
COLOURS = 128
"""Palette of an embedded picture: a sixth of the bytes of one in full colour."""
IGNORED_RGB = (0, 0, 0)


@dataclass(frozen=True)
class Scored:
    """A picture of the evaluation split with the student's mIoU on it alone."""

    position: int
    """In the split."""
    image: str
    miou: float


def worst_and_best(ctx: Context, data: Path, split: str, predictors: Mapping[str, Predict]) -> dict[str, Any]:
    """The report's part `pictures`: by the student's per-image mIoU over the whole split, ties by position.

    Each has its picture, its label and every predictor's answer on the network's grid, as PNG data URIs of equal size;
    labels carry the classes' own colours. `predictors` are by role, the student among them.
    """
    index = read_index(data)
    root = images_root(data, index, ctx.settings)
    scored = rank(score_images(ctx, index, root, split, predictors["student"]))
    items = [
        {"rank": rank_, "image": one.image, "miou": one.miou, **panels(index, root, split, one, predictors)}
        for rank_, one in chosen(scored)
    ]
    colours = {label.name: list(label.rgb) for label in index.classes}
    return {"split": split, "scored_images": len(scored), "colours": colours, "items": items}


def score_images(ctx: Context, index: Index, root: Path, split: str, student: Predict) -> list[Scored]:
    """The student's mIoU on each picture, on the network's grid; pictures whose labels are all ignored are left out."""
    samples = index.samples(split)
    names = [label.name for label in index.classes]
    scored = []
    with ctx.progress("per-image mIoU", len(samples), 0) as bar:
        for position, sample in enumerate(samples):
            image_HWC, label_HW = read_fitted(root, sample, index)
            bar.step(1, {})
            if (label_HW == IGNORE).all():
                continue
            confusion = Confusion(len(names))
            confusion.add(student(image_HWC), label_HW)
            scored.append(Scored(position, sample.image, confusion.scores(names)["miou"]))
    return scored


def rank(scored: Sequence[Scored]) -> list[Scored]:
    """Worst first."""
    return sorted(scored, key=lambda one: (one.miou, one.position))


def chosen(ranked: Sequence[Scored]) -> list[tuple[str, Scored]]:
    """(`worst` or `best`, picture): up to `EACH` from either end, none twice."""
    worst = ranked[: min(EACH, (len(ranked) + 1) // 2)]
    best = ranked[len(worst) :][-EACH:]
    return [*(("worst", one) for one in worst), *(("best", one) for one in reversed(best))]


def panels(index: Index, root: Path, split: str, one: Scored, predictors: Mapping[str, Predict]) -> dict[str, Any]:
    """Size, picture, label and predictions of one sample as PNG data URIs."""
    image_HWC, label_HW = read_fitted(root, index.samples(split)[one.position], index)
    height, width = shrunk(image_HWC.shape[:2])
    return {
        "size_px": [height, width],
        "picture": png_uri(small_picture(image_HWC, (width, height))),
        "label": png_uri(small_labels(label_HW, index, (width, height))),
        "predictions": {
            role: png_uri(small_labels(predict(image_HWC), index, (width, height)))
            for role, predict in predictors.items()
        },
    }


def shrunk(size_px: tuple[int, int]) -> tuple[int, int]:
    """Height and width not above `WIDTH_PX` in width, of equal aspect."""
    height, width = size_px
    scale = min(1.0, WIDTH_PX / width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def small_picture(image_HWC: np.ndarray, size_wh: tuple[int, int]) -> Image.Image:
    """A picture at the embedded size with a palette of its own."""
    return Image.fromarray(image_HWC).resize(size_wh, Image.Resampling.BILINEAR).quantize(COLOURS)


def small_labels(labels_HW: np.ndarray, index: Index, size_wh: tuple[int, int]) -> Image.Image:
    """Class ids at the embedded size, in the classes' colours; what is ignored is black."""
    image = Image.fromarray(labels_HW)
    table = np.full((256, 3), IGNORED_RGB, dtype=np.uint8)
    for label in index.classes:
        table[label.id] = label.rgb
    image.putpalette(table.tobytes())
    return image.resize(size_wh, Image.Resampling.NEAREST)


def png_uri(image: Image.Image) -> str:
    """An image as a data URI."""
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode("ascii")
