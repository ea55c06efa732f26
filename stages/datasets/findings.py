"""What is wrong with a data set, one finding a fault: kept as data, raised or rendered by whoever asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipeline.errors import DataError

NAMED = 3
"""How many faults an error names before it points to the whole list."""


class Level(StrEnum):
    FAULT = "fault"
    """Training on it would go wrong: the data stage stops."""
    WARNING = "warning"
    """Scores or classes may mean less than they seem to: the data stage says so and goes on."""


class Kind(StrEnum):
    """What a finding is about."""

    LIST = "list"
    """A split list or a table of classes that cannot be followed."""
    EMPTY_SPLIT = "empty split"
    MISSING_PAIR = "missing pair"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too large"
    SIZE_MISMATCH = "size mismatch"
    UNKNOWN_ID = "unknown id"
    LABEL_FORMAT = "label format"
    IMAGE_FORMAT = "image format"
    """More than 8 bits a channel."""
    LISTED_TWICE = "listed twice"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near-duplicate"
    ABSENT_CLASS = "absent class"
    UNUSED = "unused"
    """A file among the images or labels that nothing reads."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and where."""

    kind: Kind
    file: str
    """The file that is to be mended, relative to the root, so that findings are equal on every machine."""
    text: str
    """What is wrong with it and what to do, in one line that starts after the file's name."""
    level: Level = Level.FAULT
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The same in numbers, where there are any."""

    def __str__(self) -> str:
        return f"{self.file}: {self.text}"

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "level": str(self.level),
            "kind": str(self.kind),
            "file": self.file,
            "text": self.text,
            "facts": dict(self.facts),
        }


def stop_at_faults(findings: Sequence[Finding], source: str, root: Path) -> None:
    """DataError that names the first few findings of level fault, and the command that lists all; else nothing."""
    faults = [finding for finding in findings if finding.level is Level.FAULT]
    if not faults:
        return
    named = "; ".join(str(fault) for fault in faults[:NAMED])
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    more = f"; {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    raise DataError(f"{root}: {count}: {named}{more}; list all: python -m pipeline data check {root} --source {source}")
