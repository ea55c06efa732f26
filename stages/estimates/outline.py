"""How many images a data set has and what is on them, known before the data stage has run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stages.datasets.catalogue import source_of
from stages.datasets.config import DataConfig
from stages.datasets.index import network_classes, read_index
from stages.datasets.layout import SPLITS, existing_root
from stages.datasets.survey import hold_out

PNG_SOURCES = ("synthetic", "cityscapes")
"""Sources whose images are PNGs, which take longer to decode than JPEGs."""


@dataclass(frozen=True)
class Outline:
    """What a stage's cost depends on of the data."""

    size_px: tuple[int, int]
    images: Mapping[str, int]
    """Of each split that has any."""
    labelled: frozenset[str]
    """Splits that can be scored."""
    classes: int
    png: bool


def outline(config: DataConfig, data: Path | None) -> Outline:
    """From the data stage's artifact where it is current, otherwise from the source's lists; no picture is opened."""
    png = config.source in PNG_SOURCES
    if data is not None:
        index = read_index(data)
        images = {split: len(samples) for split, samples in index.splits.items() if samples}
        return Outline(index.size_px, images, frozenset(filter(index.labelled, images)), len(index.classes), png)
    source = source_of(config.source)
    module = source.load()
    if not source.reads_root:
        counts = dict(zip(SPLITS, (config.train_images, config.val_images, config.test_images), strict=True))
        images = {split: count for split, count in counts.items() if count}
        return Outline(config.size_px, images, frozenset(images), len(network_classes(module.CLASSES)), png)
    layout = module.collect(config, existing_root(config.root, config.source))
    pairs = {split: found for split, found in hold_out(layout.splits, config.holdout).items() if found}
    labelled = frozenset(split for split, found in pairs.items() if all(pair.label for pair in found))
    images = {split: len(found) for split, found in pairs.items()}
    return Outline(config.size_px, images, labelled, len(network_classes(layout.classes)), png)
