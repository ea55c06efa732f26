"""What a data set is before it is checked: pairs of files by split, and the rows of classes.csv."""

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.errors import DataError
from stages.datasets.findings import Finding, Kind

SPLITS = ("train", "val", "test")
IGNORE = 255
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
LABEL_SUFFIX = ".png"
CLASS_COLUMNS = ("id", "name", "r", "g", "b", "ignore")


@dataclass(frozen=True)
class Pair:
    """An image and its label, as posix paths relative to the root."""

    image: str
    label: str | None
    """None where the labels were never published: such images can be predicted, not scored or trained on."""


@dataclass(frozen=True)
class ClassRow:
    """A pixel value of the label files and what it stands for."""

    id: int
    name: str
    rgb: tuple[int, int, int]
    ignore: bool
    """Whether these pixels count neither in the loss nor in the scores."""


@dataclass(frozen=True)
class Layout:
    """A data set as its source describes it."""

    name: str
    root: Path
    """Folder to which the pairs are relative."""
    splits: Mapping[str, tuple[Pair, ...]]
    classes: tuple[ClassRow, ...]
    split_rule: str
    """Where the splits come from, in words."""
    class_table: str = "classes.csv"
    """Where the classes come from: the file in which a missing one is to be listed."""
    findings: tuple[Finding, ...] = ()
    """What was wrong with the lists and the names of the files; the pairs hold what is left."""


def existing_root(root: Path | None, source: str) -> Path:
    """`data.root` as a folder that exists; DataError otherwise."""
    if root is None:
        raise DataError(f"data.root is not set and {source!r} reads files: give --set data.root=PATH")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise DataError(f"data.root: no folder {folder}: give --set data.root=PATH")
    return folder


def files_below(root: Path) -> dict[str, str]:
    """Paths of every file of a data set that can count, by relative posix name: a listing, nothing is opened.

    Plain strings: 100,000 `Path` objects would take longer than the listing.
    """
    found = {path.name: str(path) for path in root.iterdir() if path.suffix in {".csv", ".txt"}}
    for top in ("images", "labels"):
        for folder, below, names in os.walk(root / top, followlinks=True):
            below[:] = (name for name in below if not leads_back(folder, name))
            relative = Path(folder).relative_to(root).as_posix()
            found.update((f"{relative}/{name}", f"{folder}{os.sep}{name}") for name in names)
    return found


def leads_back(folder: str, name: str) -> bool:
    """Whether an entry of a folder is a link to a folder that it lies in: what is there is listed already."""
    path = os.path.join(folder, name)
    return os.path.islink(path) and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(path))


def read_split(root: Path, name: str) -> tuple[tuple[Pair, ...], tuple[Finding, ...]]:
    """Pairs of a split list, whose lines are `image label`, both relative to `root`; and the lines that are wrong.

    DataError for a list that is missing.
    """
    path = root / name
    pairs, findings = [], []
    for number, line in text_lines(path):
        wrong = fault_of_pair(line)
        if wrong:
            findings.append(Finding(Kind.LIST, f"{name}:{number}", wrong))
        else:
            pairs.append(Pair(*line.split()))
    if not pairs and not findings:
        text = "the split is empty: list `image label` lines, or remove the file"
        findings.append(Finding(Kind.EMPTY_SPLIT, name, text))
    return tuple(pairs), tuple(findings)


def read_splits(root: Path, names: tuple[str, ...]) -> tuple[dict[str, tuple[Pair, ...]], tuple[Finding, ...]]:
    """`read_split` of `NAME.txt` for each split, and the findings of all."""
    read = {name: read_split(root, f"{name}.txt") for name in names}
    pairs = {name: found for name, (found, _) in read.items()}
    return pairs, tuple(finding for _, findings in read.values() for finding in findings)


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"no file {path}: point data.root at a folder that holds it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text: {error}") from error
    return ((number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip())


def fault_of_pair(line: str) -> str | None:
    """What is wrong with an `image label` line, or None."""
    parts = line.split()
    if len(parts) != 2:
        return f"write `image label`, two paths without blanks, not {line.strip()!r}"
    outside = [part for part in parts if leaves_root(part)]
    return f"{outside[0]} leaves the data root: write paths relative to it, without .." if outside else None


def leaves_root(path: str) -> bool:
    """Whether a path that a list names could point outside the folder to which it is relative."""
    relative = PurePosixPath(path)
    return relative.is_absolute() or ".." in relative.parts


def read_classes(path: Path) -> tuple[ClassRow, ...]:
    """Rows of a classes.csv with the columns id, name, r, g, b, ignore; DataError naming file and line."""
    numbered = list(text_lines(path))
    reader = csv.DictReader((line for _, line in numbered), skipinitialspace=True)
    missing = [column for column in CLASS_COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise DataError(f"{path}: no column {missing[0]!r}: the header is {','.join(CLASS_COLUMNS)}")
    rows = tuple(parse_class(row, f"{path}:{number}") for row, (number, _) in zip(reader, numbered[1:], strict=True))
    for column in ("id", "name"):
        values = [getattr(row, column) for row in rows]
        twice = [value for value in values if values.count(value) > 1]
        if twice:
            raise DataError(f"{path}: {column} {twice[0]!r} stands twice")
    if all(row.ignore for row in rows):
        raise DataError(f"{path}: no classes: list at least one with ignore = 0")
    return rows


def parse_class(row: Mapping[str, str], where: str) -> ClassRow:
    """One row of classes.csv."""
    try:
        number, red, green, blue, ignore = (int(row[column]) for column in ("id", "r", "g", "b", "ignore"))
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: id, r, g, b and ignore must be whole numbers") from error
    name = (row["name"] or "").strip()
    if not name or ignore not in (0, 1) or not all(0 <= value <= 255 for value in (number, red, green, blue)):
        raise DataError(f"{where}: needs a name, id and colours in 0..255, and ignore 0 or 1")
    if number == IGNORE and not ignore:
        raise DataError(f"{where}: id 255 is always ignored: give {name!r} another id")
    return ClassRow(number, name, (red, green, blue), bool(ignore))
