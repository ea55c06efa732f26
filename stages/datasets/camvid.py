"""CamVid (Brostow et al. 2008) as images/, labels/, train.txt, val.txt, test.txt and classes.csv."""

from pathlib import Path

from stages.datasets.config import DataConfig
from stages.datasets.layout import SPLITS, Layout, existing_root, read_classes, read_split


def collect(config: DataConfig, work: Path) -> Layout:
    """The published splits; DataError for a list that is missing."""
    root = existing_root(config.root, config.source)
    splits = {split: read_split(root, f"{split}.txt") for split in SPLITS}
    return Layout("camvid", root, splits, read_classes(root / "classes.csv"), "the published lists")
