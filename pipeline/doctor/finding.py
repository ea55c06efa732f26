"""What `doctor` says of one thing, and who says it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib import import_module
from typing import Any

from pipeline.plan import Planner

EXAMINERS = (
    "pipeline.doctor.machine",
    "pipeline.doctor.packages",
    "stages.doctor",
    "export.doctor",
    "pipeline.doctor.store",
    "pipeline.doctor.recipe",
)
"""Modules that hold `examine(planner) -> Iterator[Finding]`, each beside what it knows."""


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """Works, but not as well as it could, or not for everything."""
    MISSING = "missing"
    """Something optional is not here."""
    BROKEN = "broken"
    """Nothing can be trusted to run until this is mended."""


@dataclass(frozen=True)
class Finding:
    """One line of `doctor`."""

    check: str
    level: Level
    found: str
    advice: str = ""
    """What to do, where there is something to do."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def examine(planner: Planner) -> Iterator[Finding]:
    """Everything that the examiners find, one after the other."""
    for name in EXAMINERS:
        yield from import_module(name).examine(planner)
