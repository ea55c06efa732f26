"""Procedural road scenes, written into the artifact: data that is always at hand."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from stages.datasets import scene
from stages.datasets.config import DataConfig
from stages.datasets.layout import SPLITS, ClassRow, Layout, Pair

CLASSES = (
    ClassRow(scene.SKY, "sky", (110, 170, 220), False),
    ClassRow(scene.BUILDING, "building", (120, 70, 60), False),
    ClassRow(scene.MIDDLE_LANE, "middle_lane", (128, 64, 128), False),
    ClassRow(scene.SIDE_LANE, "side_lane", (190, 130, 190), False),
    ClassRow(scene.GRASS, "grass", (130, 200, 80), False),
    ClassRow(scene.HEDGE, "hedge", (20, 100, 40), False),
    ClassRow(scene.CAR, "car", (0, 0, 142), False),
    ClassRow(scene.POLE, "pole", (220, 200, 60), False),
    ClassRow(scene.EGO, "ego_vehicle", (0, 0, 0), True),
)
PALETTE = bytes(value for row in CLASSES for value in row.rgb)
WRITERS = 2


def collect(config: DataConfig, work: Path) -> Layout:
    """Render and write the images and labels of every split that has any into `work`."""
    counts = dict(zip(SPLITS, (config.train_images, config.val_images, config.test_images), strict=True))
    splits = {}
    for number, (split, count) in enumerate(counts.items()):
        if not count:
            continue
        for top in ("images", "labels"):
            (work / top / split).mkdir(parents=True)
        with ThreadPoolExecutor(WRITERS) as pool:
            write = partial(write_scene, work, split, (config.seed, number), config.size_px)
            splits[split] = tuple(pool.map(write, range(count)))
    return Layout("synthetic", work, splits, CLASSES, f"seed {config.seed}")


def write_scene(work: Path, split: str, seed: tuple[int, int], size_px: tuple[int, int], i: int) -> Pair:
    """Render scene `i` of a split from (seed, number of the split, i) and write it as two PNGs."""
    rng = np.random.Generator(np.random.PCG64((*seed, i)))
    image_HWC, ids_HW = scene.render(size_px, rng)
    image_file, label_file = f"images/{split}/{i:05d}.png", f"labels/{split}/{i:05d}.png"
    Image.fromarray(image_HWC).save(work / image_file, compress_level=3)
    label = Image.fromarray(ids_HW)
    label.putpalette(PALETTE)
    label.save(work / label_file)
    return Pair(image_file, label_file)
