"""What a data set is before it is checked: pairs of files by split, and the rows of classes.csv."""

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.errors import DataError

SPLITS = ("train", "val", "test")
IGNORE = 255
CLASS_COLUMNS = ("id", "name", "r", "g", "b", "ignore")


@dataclass(frozen=True)
class Pair:
    """An image and its label, as posix paths relative to the root."""

    image: str
    label: str


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
        for folder, _, names in os.walk(root / top, followlinks=True):
            relative = Path(folder).relative_to(root).as_posix()
            found.update((f"{relative}/{name}", f"{folder}{os.sep}{name}") for name in names)
    return found


def read_split(root: Path, name: str) -> tuple[Pair, ...]:
    """Pairs of a split list, whose lines are `image label`, both relative to `root`.

    DataError naming list and line for a path that leaves the root or another form of line; or for no line.
    """
    path = root / name
    pairs = tuple(parse_pair(line, f"{path}:{number}") for number, line in text_lines(path))
    if not pairs:
        raise DataError(f"{path}: the split is empty: list `image label` lines, or remove the file")
    return pairs


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"no file {path}: point data.root at a folder that holds it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text: {error}") from error
    return ((number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip())


def parse_pair(line: str, where: str) -> Pair:
    """One `image label` line."""
    parts = line.split()
    if len(parts) != 2:
        raise DataError(f"{where}: write `image label`, two paths without blanks, not {line.strip()!r}")
    for part in parts:
        relative = PurePosixPath(part)
        if relative.is_absolute() or ".." in relative.parts:
            raise DataError(f"{where}: {part} leaves the data root: write paths relative to it, without ..")
    return Pair(*parts)


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
