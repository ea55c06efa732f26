"""CamVid (Brostow et al. 2008) as images/, labels/, train.txt, val.txt, test.txt and classes.csv."""

from pathlib import Path

from stages.datasets.config import DataConfig
from stages.datasets.layout import SPLITS, Layout, existing_root, files_below, read_classes, read_splits
from stages.datasets.unused import unlisted


def source_files(config: DataConfig) -> dict[str, Path]:
    """The lists, the classes, and everything below images/ and labels/."""
    return files_below(existing_root(config.root, config.source))


def collect(config: DataConfig, work: Path) -> Layout:
    """The published splits; DataError for a list that is missing."""
    root = existing_root(config.root, config.source)
    splits, findings = read_splits(root, SPLITS)
    findings = (*findings, *unlisted(files_below(root), splits))
    classes = read_classes(root / "classes.csv")
    return Layout("camvid", root, splits, classes, "the published lists", findings=findings)
