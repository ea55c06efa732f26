"""The data artifact's index: which image and label belong to which split, and what the labels mean."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.datasets.layout import IGNORE, ClassRow, existing_root
from stages.preprocess import Preprocess


@dataclass(frozen=True)
class Sample:
    """An image and its label: posix paths relative to the images' root, content hashes, size in pixels."""

    image: str
    label: str | None
    """None where the labels were never published."""
    image_sha256: str
    label_sha256: str | None
    height: int
    width: int


@dataclass(frozen=True)
class LabelClass:
    """A class as networks count it: ids 0, 1, ... without gaps."""

    id: int
    name: str
    rgb: tuple[int, int, int]


@dataclass(frozen=True)
class Index:
    """What is in the artifact's index.json and labels.json."""

    name: str
    preprocess: Preprocess
    embedded: bool
    """Whether the artifact holds the images itself; otherwise they lie below `data.root`."""
    label_map: tuple[int, ...]
    """256 entries: pixel value of a label file -> class id, or 255 = ignored."""
    splits: Mapping[str, tuple[Sample, ...]]
    classes: tuple[LabelClass, ...]

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width of what the networks see."""
        return self.preprocess.height, self.preprocess.width

    def samples(self, split: str) -> tuple[Sample, ...]:
        """The split's samples in their order; empty where there are none."""
        return self.splits.get(split, ())

    def labelled(self, split: str) -> bool:
        """Whether the split has images, and a label for each: it can be scored."""
        return bool(self.samples(split)) and all(sample.label for sample in self.samples(split))

    def to_json(self) -> dict[str, Any]:
        """index.json as plain values; the classes are labels.json's."""
        return {
            "name": self.name,
            "size_px": list(self.size_px),
            "resize": self.preprocess.resize,
            "embedded": self.embedded,
            "label_map": list(self.label_map),
            "splits": {name: [asdict(s) for s in samples] for name, samples in self.splits.items()},
        }


def network_classes(rows: tuple[ClassRow, ...]) -> tuple[LabelClass, ...]:
    """The classes that count, in order of their file ids, numbered without gaps."""
    counted = sorted((row for row in rows if not row.ignore), key=lambda row: row.id)
    return tuple(LabelClass(i, row.name, row.rgb) for i, row in enumerate(counted))


def label_map(rows: tuple[ClassRow, ...]) -> tuple[int, ...]:
    """Class id by pixel value of the label files; 255 for ignored and unlisted values."""
    ids = {c.name: c.id for c in network_classes(rows)}
    table = [IGNORE] * 256
    for row in rows:
        table[row.id] = ids.get(row.name, IGNORE)
    return tuple(table)


def write_index(folder: Path, index: Index) -> None:
    """Write index.json, labels.json and preprocess.json."""
    documents = {
        "index.json": index.to_json(),
        "labels.json": [asdict(c) for c in index.classes],
        "preprocess.json": index.preprocess.to_json(),
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read_index(folder: Path) -> Index:
    """Inverse of `write_index`."""
    values = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    classes = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    height, width = values["size_px"]
    return Index(
        name=values["name"],
        preprocess=Preprocess(height, width, values["resize"]),
        embedded=values["embedded"],
        label_map=tuple(values["label_map"]),
        splits={name: tuple(Sample(**s) for s in samples) for name, samples in values["splits"].items()},
        classes=tuple(LabelClass(c["id"], c["name"], tuple(c["rgb"])) for c in classes),
    )


def images_root(data_folder: Path, index: Index, settings: Mapping[str, Any]) -> Path:
    """Folder to which the samples' paths are relative; DataError where it is not on this machine."""
    if index.embedded:
        return data_folder
    return existing_root(settings.get("data.root"), index.name)
