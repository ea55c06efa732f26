"""The data sources by name: which module reads each, and how a folder on disk is told to be one.

A source's module offers, without importing numpy or Pillow before `collect` is called,

    collect(config, work) -> Layout             the pairs of every split, their classes, and what is wrong with them
    source_files(config) -> dict[str, str]      every file below the root that can count; pictures are not opened
"""

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.errors import DataError
from pipeline.nearest import nearest
from stages.datasets.layout import ClassRow, read_classes

TABLES = Path(__file__).parent / "classes"


@dataclass(frozen=True)
class Source:
    """One way to come by images and labels."""

    module: str
    """Dotted module that holds `collect`."""
    reads_root: bool = True
    """Whether the files lie below `data.root`; otherwise the source writes them itself."""
    classes: str | None = None
    """Table of its classes in `classes/`; None where the data set brings its own."""
    marks: tuple[str, ...] = ()
    """Names below a root, one of which tells that it is this source's."""
    published: bool = False
    """Whether the splits are a published benchmark's: a duplicate in them is a warning, since they stay as they are."""

    def load(self) -> ModuleType:
        """The source's module."""
        return import_module(self.module)


@cache
def sources() -> dict[str, Source]:
    """Every source by name."""
    entries = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {name: Source(**{**fields, "marks": tuple(fields.get("marks", ()))}) for name, fields in entries.items()}


def source_of(name: str) -> Source:
    """The source of that name; DataError that offers the nearest when there is none."""
    if name not in sources():
        raise DataError(f"data.source = {name!r} is not a source: {nearest(name, sources())}")
    return sources()[name]


def choice(name: str) -> dict[str, Any]:
    """What a source's name stands for, its table of classes as a sha256; the marks that recognise it change nothing."""
    source = source_of(name)
    fields = asdict(source)
    del fields["marks"]
    rows = [asdict(row) for row in published_classes(name)] if source.classes else None
    return {**fields, "classes": rows and hashlib.sha256(json.dumps(rows).encode()).hexdigest()}


def published_classes(name: str) -> tuple[ClassRow, ...]:
    """The classes that a benchmark's authors published, by the pixel values of its label files."""
    table = source_of(name).classes
    assert table is not None, f"{name} brings its own classes"
    return read_classes(TABLES / table)


def recognise(root: Path) -> str:
    """Name of the source whose layout `root` has; DataError that says what each layout looks like."""
    for name, source in sources().items():
        if any((root / mark).exists() for mark in source.marks):
            return name
    looks = "; ".join(f"{name}: {' or '.join(s.marks)}" for name, s in sources().items() if s.marks)
    raise DataError(f"{root}: no source recognises it, none of these is there: {looks}; or say --source NAME")
