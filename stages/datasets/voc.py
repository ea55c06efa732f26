"""PASCAL VOC 2012 segmentation (Everingham et al. 2010): VOCdevkit/VOC2012 with palette labels, 255 on borders.

The training split is `train.txt`, 1,464 images; `data.train_list = "train_aug"` takes SBD's 10,582 (Hariharan et al.,
ICCV 2011), whose list and labels (SegmentationClassAug/) are added to the folder by hand.
"""

import re
from pathlib import Path

from pipeline.errors import DataError
from stages.datasets.catalogue import published_classes
from stages.datasets.config import DataConfig
from stages.datasets.findings import Finding, Kind
from stages.datasets.layout import Layout, Pair, existing_root, text_lines
from stages.datasets.listing import names_below, paths_of

PLACES = ("VOCdevkit/VOC2012/", "VOC2012/", "")
LISTS = "ImageSets/Segmentation"
AUGMENTED_LISTS = ("train_aug.txt", "trainaug.txt")
LABELS, AUGMENTED_LABELS = "SegmentationClass", "SegmentationClassAug"
NAME = re.compile(r"[\w-]+")


def source_files(config: DataConfig) -> dict[str, str]:
    """The lists that are read, and the images and labels that they name."""
    root = existing_root(config.root, config.source)
    base = base_of(root)
    splits, _ = read_lists(root, base, config)
    pairs = [pair for pairs in splits.values() for pair in pairs]
    named = {name for pair in pairs for name in (pair.image, pair.label) if name}
    folders = {name.rpartition("/")[0] for name in named}
    there = {name for folder in folders for name in names_below(root, folder, (".jpg", ".png"))}
    lists = (f"{base}{name}" for name in lists_of(root, base, config).values())
    return paths_of(root, (*lists, *sorted(named & there)))


def collect(config: DataConfig, work: Path) -> Layout:
    """The published lists; test, where its list is there, stands without labels."""
    root = existing_root(config.root, config.source)
    base = base_of(root)
    splits, findings = read_lists(root, base, config)
    rule = ", ".join(lists_of(root, base, config).values())
    return Layout("voc", root, splits, published_classes("voc"), rule, "voc.csv", findings)


def base_of(root: Path) -> str:
    """Where VOC2012 lies below `root`, with its slash; DataError where it does not."""
    for place in PLACES:
        if (root / place / "JPEGImages").is_dir():
            return place
    raise DataError(f"no JPEGImages below {root} or its VOCdevkit/VOC2012: point data.root at the unpacked VOCdevkit")


def lists_of(root: Path, base: str, config: DataConfig) -> dict[str, str]:
    """The list of each split, relative to the base; DataError for an augmented one that was asked for in vain."""
    names = {"train": "train.txt", "val": "val.txt"}
    folder = root / base / LISTS
    if config.train_list == "train_aug":
        there = [name for name in AUGMENTED_LISTS if (folder / name).is_file()]
        if not there:
            raise DataError(
                f"data.train_list = 'train_aug': no file {folder / AUGMENTED_LISTS[0]}: put SBD's list there"
            )
        names["train"] = there[0]
    if (folder / "test.txt").is_file():
        names["test"] = "test.txt"
    return {split: f"{LISTS}/{name}" for split, name in names.items()}


def read_lists(root: Path, base: str, config: DataConfig) -> tuple[dict[str, tuple[Pair, ...]], tuple[Finding, ...]]:
    """The pairs of every list, and the lines that name no picture."""
    splits: dict[str, tuple[Pair, ...]] = {}
    findings = []
    for split, file in lists_of(root, base, config).items():
        pairs = []
        for number, line in text_lines(root / base / file):
            name = line.strip()
            if NAME.fullmatch(name):
                label = None if split == "test" else f"{base}{labels_of(root, base, split, config)}/{name}.png"
                pairs.append(Pair(f"{base}JPEGImages/{name}.jpg", label))
            else:
                text = f"{name!r} is no image's name: write names such as 2007_000032"
                findings.append(Finding(Kind.LIST, f"{base}{file}:{number}", text))
        splits[split] = tuple(pairs)
    return splits, tuple(findings)


def labels_of(root: Path, base: str, split: str, config: DataConfig) -> str:
    """Folder of a split's labels: SBD's training images have theirs apart, where they were added so."""
    augmented = split == "train" and config.train_list == "train_aug"
    return AUGMENTED_LABELS if augmented and (root / base / AUGMENTED_LABELS).is_dir() else LABELS
