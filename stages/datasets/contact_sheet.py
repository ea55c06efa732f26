"""A picture of a data set: images of every split beside their labels, and a legend of the classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stages.datasets.index import Index, LabelClass, Sample
from stages.datasets.layout import IGNORE
from stages.datasets.pixels import read_label
from stages.preprocess import nearest_resize, read_image

PER_SPLIT = 4
PANEL_PX = 300
"""Width of one picture; a pair has two of them."""
TALLEST_PX = 300
PAIRS_A_ROW = 2
MARGIN_PX, GAP_PX, CAPTION_PX, LEGEND_ROW_PX = 28, 6, 26, 24
LEGEND_COLUMNS = 6
PAPER, INK, FAINT = (255, 255, 255), (32, 36, 42), (120, 126, 134)
LABEL_WEIGHT = 0.62
"""Share of the label's colour where it lies over the picture."""


def draw_contact_sheet(path: Path, index: Index, root: Path, frequencies: Mapping[str, Any]) -> None:
    """Write the sheet as PNG: up to four samples a split, spread evenly; `frequencies` as in frequencies.json."""
    chosen = [(split, sample) for split, samples in index.splits.items() for sample in spread(samples, PER_SPLIT)]
    pairs = [pair_of_panels(root, sample, index) for _, sample in chosen]
    captions = [f"{split}   {Path(sample.image).name}" for split, sample in chosen]
    shown = {int(value) for _, labels in pairs if labels is not None for value in np.unique(labels)}
    legend = [c for c in index.classes if c.id in shown]
    tiles = [side_by_side(image, labels, index.classes) for image, labels in pairs]
    compose(title_of(index), tiles, captions, legend, frequencies).save(path, optimize=True)


def spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """At most `count` samples, evenly spaced."""
    return [samples[i * len(samples) // count] for i in range(count)] if len(samples) > count else list(samples)


def title_of(index: Index) -> str:
    """`camvid: train 367, val 101, test 233 images`."""
    counts = ", ".join(f"{split} {len(samples)}" for split, samples in index.splits.items() if samples)
    return f"{index.name}: {counts} images, {len(index.classes)} classes"


def pair_of_panels(root: Path, sample: Sample, index: Index) -> tuple[np.ndarray, np.ndarray | None]:
    """A sample scaled to the panel: image (uint8 h x w x 3) and class ids (uint8 h x w) or None."""
    image_HWC = read_image(root / sample.image)
    scale = min(PANEL_PX / image_HWC.shape[1], TALLEST_PX / image_HWC.shape[0])
    height, width = (max(1, round(side * scale)) for side in image_HWC.shape[:2])
    small_HWC = np.asarray(Image.fromarray(image_HWC).resize((width, height), Image.Resampling.LANCZOS))
    if sample.label is None:
        return small_HWC, None
    return small_HWC, nearest_resize(read_label(root, sample, index.label_map), (height, width))


def side_by_side(image_HWC: np.ndarray, labels_HW: np.ndarray | None, classes: Sequence[LabelClass]) -> Image.Image:
    """The image, and to its right the image under its labels; alone where it has none."""
    height, width = image_HWC.shape[:2]
    tile = Image.new("RGB", (2 * PANEL_PX + GAP_PX, height), PAPER)
    tile.paste(Image.fromarray(image_HWC), ((PANEL_PX - width) // 2, 0))
    if labels_HW is not None:
        over = Image.fromarray(overlay(image_HWC, labels_HW, classes))
        tile.paste(over, (PANEL_PX + GAP_PX + (PANEL_PX - width) // 2, 0))
    return tile


def overlay(image_HWC: np.ndarray, labels_HW: np.ndarray, classes: Sequence[LabelClass]) -> np.ndarray:
    """Class colours over the greyed image, white lines where classes meet, ignored pixels hatched; uint8 H x W x 3."""
    colours = np.zeros((256, 3), dtype=np.float32)
    for each in classes:
        colours[each.id] = each.rgb
    grey_HW1 = image_HWC.mean(axis=2, keepdims=True, dtype=np.float32)
    mixed_HWC = LABEL_WEIGHT * colours[labels_HW] + (1 - LABEL_WEIGHT) * grey_HW1
    rows, columns = np.indices(labels_HW.shape)
    hatched_HW = np.where((rows + columns) % 8 < 2, 235.0, 200.0)[..., None]
    ignored_HW = labels_HW == IGNORE
    mixed_HWC[ignored_HW] = (0.5 * hatched_HW + 0.5 * grey_HW1)[ignored_HW]
    mixed_HWC[meets(labels_HW)] = 255
    return mixed_HWC.round().astype(np.uint8)


def meets(labels_HW: np.ndarray) -> np.ndarray:
    """Pixels whose right or lower neighbour has another label."""
    found_HW = np.zeros(labels_HW.shape, dtype=bool)
    found_HW[:, :-1] |= labels_HW[:, :-1] != labels_HW[:, 1:]
    found_HW[:-1] |= labels_HW[:-1] != labels_HW[1:]
    return found_HW


def compose(
    title: str,
    tiles: Sequence[Image.Image],
    captions: Sequence[str],
    legend: Sequence[LabelClass],
    frequencies: Mapping[str, Any],
) -> Image.Image:
    """Title, tiles in rows with their captions, and the legend."""
    title_font, font = ImageFont.load_default(22), ImageFont.load_default(13)
    rows = [range(start, min(start + PAIRS_A_ROW, len(tiles))) for start in range(0, len(tiles), PAIRS_A_ROW)]
    heights = [max(tiles[n].height for n in row) + CAPTION_PX for row in rows]
    legend_rows = -(-(len(legend) + 1) // LEGEND_COLUMNS)
    tile_width = 2 * PANEL_PX + GAP_PX
    width = 2 * MARGIN_PX + PAIRS_A_ROW * tile_width + (PAIRS_A_ROW - 1) * MARGIN_PX
    top = MARGIN_PX + 42
    height = top + sum(heights) + GAP_PX * len(heights) + MARGIN_PX + legend_rows * LEGEND_ROW_PX + MARGIN_PX // 2
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN_PX, MARGIN_PX - 4), title, fill=INK, font=title_font)
    for row, row_height in zip(rows, heights, strict=True):
        for column, n in enumerate(row):
            left = MARGIN_PX + column * (tile_width + MARGIN_PX)
            sheet.paste(tiles[n], (left, top))
            draw.text((left, top + tiles[n].height + 4), captions[n], fill=FAINT, font=font)
        top += row_height + GAP_PX
    draw_legend(draw, legend, frequencies, top + MARGIN_PX // 2, (width - 2 * MARGIN_PX) // LEGEND_COLUMNS, font)
    return sheet


def draw_legend(
    draw: ImageDraw.ImageDraw,
    legend: Sequence[LabelClass],
    frequencies: Mapping[str, Any],
    top: int,
    column_px: int,
    font: Any,
) -> None:
    """A swatch, the name and the share of training pixels for each class, column by column; last, the hatching."""
    split = "train" if "train" in frequencies else next(iter(frequencies), None)
    shares = frequencies[split]["classes"] if split else {}
    entries = [(c.rgb, f"{c.name}  {100 * shares.get(c.name, 0):.2g} %") for c in legend] + [
        ((218, 218, 218), "ignored")
    ]
    rows = -(-len(entries) // LEGEND_COLUMNS)
    for n, (colour, text) in enumerate(entries):
        left, y = MARGIN_PX + (n // rows) * column_px, top + (n % rows) * LEGEND_ROW_PX
        draw.rectangle((left, y + 2, left + 24, y + 16), fill=colour, outline=FAINT)
        draw.text((left + 32, y + 1), text, fill=INK, font=font)
