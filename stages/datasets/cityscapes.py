"""Cityscapes (Cordts et al., CVPR 2016), fine annotations: leftImg8bit/<split>/<city>/ and gtFine/<split>/<city>/.

Labels are `*_gtFine_labelTrainIds.png` where every image has one, otherwise `*_gtFine_labelIds.png`; both give the 19
classes of the benchmark. The labels of the test split were never published: its images stand without.
"""

from collections.abc import Iterator
from pathlib import Path

from stages.datasets.catalogue import published_classes
from stages.datasets.config import DataConfig
from stages.datasets.findings import Finding, Kind
from stages.datasets.layout import SPLITS, ClassRow, Layout, Pair, existing_root
from stages.datasets.listing import names_below, paths_of

IMAGES, LABELS = "leftImg8bit", "gtFine"
IMAGE_END = "_leftImg8bit.png"
TRAIN_IDS, LABEL_IDS = "_gtFine_labelTrainIds.png", "_gtFine_labelIds.png"
VAL_CITIES = ("frankfurt", "lindau", "munster")
TEST_CITIES = ("berlin", "bielefeld", "bonn", "leverkusen", "mainz", "munich")


def source_files(config: DataConfig) -> dict[str, str]:
    """The images of the three splits and the labels of one encoding."""
    root = existing_root(config.root, config.source)
    frames, labels = found(root)
    end = encoding(frames, labels)
    wanted = (label_of(frame, end) for frame in frames if split_of(frame) != "test")
    return paths_of(root, (*(frame + IMAGE_END for frame in frames), *(name for name in wanted if name in labels)))


def collect(config: DataConfig, work: Path) -> Layout:
    """The published splits, by folder; where the files lie flat, by the city in their names."""
    root = existing_root(config.root, config.source)
    frames, labels = found(root)
    end = encoding(frames, labels)
    splits: dict[str, list[Pair]] = {split: [] for split in SPLITS}
    findings = []
    for frame in frames:
        split, label = split_of(frame), label_of(frame, end)
        if split == "test":
            splits[split].append(Pair(frame + IMAGE_END, None))
        elif label in labels:
            splits[split].append(Pair(frame + IMAGE_END, label))
        else:
            text = f"the image has no label: expected {label}"
            findings.append(Finding(Kind.MISSING_PAIR, frame + IMAGE_END, text))
    findings += labels_alone(frames, labels, end)
    members = {split: tuple(pairs) for split, pairs in splits.items() if pairs or split != "test"}
    rule = f"the published folders, labels *{end}"
    return Layout("cityscapes", root, members, classes(end), rule, "cityscapes.csv", tuple(findings))


def found(root: Path) -> tuple[list[str], set[str]]:
    """The frames of the three splits as image names without their ending, in order, and all label files."""
    frames = sorted(name.removesuffix(IMAGE_END) for name in names_below(root, IMAGES, (IMAGE_END,)))
    return [frame for frame in frames if split_of(frame)], set(names_below(root, LABELS, (TRAIN_IDS, LABEL_IDS)))


def split_of(frame: str) -> str:
    """Split of an image or label name; empty for the coarsely annotated extra folder."""
    folder, _, rest = frame.partition("/")[2].partition("/")
    if rest:
        return folder if folder in SPLITS else ""
    city = folder.partition("_")[0]
    return "val" if city in VAL_CITIES else "test" if city in TEST_CITIES else "train"


def label_of(frame: str, end: str) -> str:
    """Name of the label file of a frame."""
    return f"{LABELS}{frame.removeprefix(IMAGES)}{end}"


def encoding(frames: list[str], labels: set[str]) -> str:
    """Ending of the label files to read: train ids if no image lacks them."""
    labelled = [frame for frame in frames if split_of(frame) != "test"]
    return TRAIN_IDS if labelled and all(label_of(frame, TRAIN_IDS) in labels for frame in labelled) else LABEL_IDS


def classes(end: str) -> tuple[ClassRow, ...]:
    """The classes by the pixel values of that encoding: train ids number the 19 that count in order of their ids."""
    rows = published_classes("cityscapes")
    if end == LABEL_IDS:
        return rows
    counted = (row for row in rows if not row.ignore)
    return tuple(ClassRow(number, row.name, row.rgb, False) for number, row in enumerate(counted))


def labels_alone(frames: list[str], labels: set[str], end: str) -> Iterator[Finding]:
    """Labels of the chosen encoding whose image is not there."""
    expected = {label_of(frame, end) for frame in frames}
    for label in sorted(name for name in labels - expected if name.endswith(end) and split_of(name)):
        image = f"{IMAGES}{label.removeprefix(LABELS).removesuffix(end)}{IMAGE_END}"
        yield Finding(Kind.MISSING_PAIR, label, f"the label has no image: expected {image}")
