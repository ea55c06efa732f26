"""ADE20K scene parsing (Zhou et al., CVPR 2017): ADEChallengeData2016 with images/ and annotations/.

Label value 0 is "other" and ignored; 1..150 are the classes 0..149, in order of their share of pixels.
"""

from dataclasses import replace
from pathlib import Path

from pipeline.errors import DataError
from stages.datasets.catalogue import published_classes
from stages.datasets.config import DataConfig
from stages.datasets.findings import Finding, Kind
from stages.datasets.layout import ClassRow, Layout, Pair, existing_root, text_lines
from stages.datasets.listing import names_below, paths_of

PLACES = ("ADEChallengeData2016/", "")
FOLDERS = {"train": "training", "val": "validation"}
INFO = "objectInfo150.txt"


def source_files(config: DataConfig) -> dict[str, str]:
    """The images and annotations of both splits, and the names of the classes."""
    root = existing_root(config.root, config.source)
    base = base_of(root)
    info = [f"{base}{INFO}"] if (root / base / INFO).is_file() else []
    images = (name for split in FOLDERS for name in (*images_of(root, base, split), *labels_of(root, base, split)))
    return paths_of(root, (*info, *images))


def collect(config: DataConfig, work: Path) -> Layout:
    """The published folders; the benchmark has no labelled test split."""
    root = existing_root(config.root, config.source)
    base = base_of(root)
    splits: dict[str, tuple[Pair, ...]] = {}
    findings: list[Finding] = []
    for split in FOLDERS:
        images, labels = images_of(root, base, split), labels_of(root, base, split)
        expected = {label_for(image): image for image in images}
        splits[split] = tuple(Pair(expected[label], label) for label in sorted(expected.keys() & labels))
        for label in sorted(expected.keys() - labels):
            text = f"the image has no label: expected {label}"
            findings.append(Finding(Kind.MISSING_PAIR, expected[label], text))
        for label in sorted(labels - expected.keys()):
            text = f"the label has no image: expected {image_for(label)}"
            findings.append(Finding(Kind.MISSING_PAIR, label, text))
    table = root / base / INFO
    return Layout("ade20k", root, splits, classes(table), "the published folders", "ade20k.csv", tuple(findings))


def base_of(root: Path) -> str:
    """Where ADEChallengeData2016 lies below `root`, with its slash; DataError where it does not."""
    for place in PLACES:
        if (root / place / "annotations").is_dir():
            return place
    raise DataError(f"no annotations/ below {root}: point data.root at the unpacked ADEChallengeData2016")


def images_of(root: Path, base: str, split: str) -> list[str]:
    """Names of a split's images."""
    return sorted(names_below(root, f"{base}images/{FOLDERS[split]}", (".jpg",)))


def labels_of(root: Path, base: str, split: str) -> set[str]:
    """Names of a split's annotations."""
    return set(names_below(root, f"{base}annotations/{FOLDERS[split]}", (".png",)))


def label_for(image: str) -> str:
    """Name of the annotation of an image."""
    return image.removesuffix(".jpg").replace("images/", "annotations/", 1) + ".png"


def image_for(label: str) -> str:
    """Name of the image of an annotation."""
    return label.removesuffix(".png").replace("annotations/", "images/", 1) + ".jpg"


def classes(info: Path) -> tuple[ClassRow, ...]:
    """The 150 classes and the ignored 0, under the names of objectInfo150.txt where it lies beside the images."""
    rows = published_classes("ade20k")
    if not info.is_file():
        return rows
    names = dict(numbered_name(line, f"{info}:{number}") for number, line in text_lines(info) if number > 1)
    twice = {name for name in names.values() if list(names.values()).count(name) > 1}
    return tuple(
        replace(row, name=f"{names[row.id]} {row.id}" if names[row.id] in twice else names[row.id])
        if row.id in names
        else row
        for row in rows
    )


def numbered_name(line: str, where: str) -> tuple[int, str]:
    """Id and first name of a line `Idx Ratio Train Val Stuff Name`, whose fields tabs part; DataError otherwise."""
    fields = line.split("\t")
    if not fields[0].strip().isdecimal() or not fields[-1].strip():
        raise DataError(
            f"{where}: is no line `Idx Ratio Train Val Stuff Name` with tabs between: take the published file"
        )
    return int(fields[0]), fields[-1].partition(",")[0].strip()
