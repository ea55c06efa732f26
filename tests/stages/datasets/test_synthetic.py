"""Scenes as files."""

from pathlib import Path

import numpy as np
from PIL import Image

from stages.datasets.config import DataConfig
from stages.datasets.synthetic import CLASSES, collect


def test_images_and_palette_labels_are_written(tmp_path: Path) -> None:
    config = DataConfig(size_px=(32, 48), train_images=2, val_images=0, test_images=1)
    layout = collect(config, tmp_path)
    assert {split: len(pairs) for split, pairs in layout.splits.items()} == {"train": 2, "test": 1}
    pair = layout.splits["train"][1]
    with Image.open(tmp_path / pair.label) as label:
        assert label.mode == "P" and label.size == (48, 32)
        colours = np.array(label.convert("RGB"))
        ids = np.array(label)
    assert np.array_equal(colours, np.array([row.rgb for row in CLASSES], np.uint8)[ids])


def test_an_image_depends_on_its_number_alone(tmp_path: Path) -> None:
    few, many, seeded = (tmp_path / name for name in ("few", "many", "seeded"))
    sizes = {"size_px": (32, 48), "val_images": 1, "test_images": 0}
    collect(DataConfig(train_images=1, **sizes), few)
    collect(DataConfig(train_images=3, **sizes), many)
    collect(DataConfig(train_images=1, seed=1, **sizes), seeded)
    first = Path("images/train/00000.png")
    assert (few / first).read_bytes() == (many / first).read_bytes()
    assert (few / first).read_bytes() != (seeded / first).read_bytes()
    assert (few / first).read_bytes() != (few / "images/val/00000.png").read_bytes()
