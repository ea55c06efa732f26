"""The figures of a sweep: one record a cell read from its artifacts, one line a row with mean and spread over seeds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import mean, stdev
from typing import Any

from pipeline.store.store import Artifact
from pipeline.sweep.cells import Cell, Row
from pipeline.sweep.history import read_history, seconds_per_iteration, term_seconds, training_seconds

SPLITS = ("test", "val")
"""In order of preference; every cell is read on the first one that all of them scored."""


@dataclass(frozen=True)
class Record:
    """What one cell gave; absent figures are None."""

    cell: str
    row: str
    seed: int
    error: str | None
    miou: Mapping[str, float] = field(default_factory=dict)
    """By split, as a share of 1."""
    iterations: int | None = None
    seconds_per_iteration: float | None = None
    training_seconds: float | None = None
    parameters: int | None = None
    """Of the student that ships: without auxiliary head and adapters."""
    term_seconds: Mapping[str, float] = field(default_factory=dict)
    """Seconds per iteration of each term."""
    artifacts: Mapping[str, str] = field(default_factory=dict)
    """`key/digest` by stage."""


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of n values; the latter needs two."""

    n: int
    mean: float
    sd: float | None


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    row: str
    labels: tuple[str, ...]
    values: Mapping[int, float]
    """mIoU by seed, as a share of 1."""
    miou: Spread | None
    compared_with: str | None
    """None on the rows that others are compared with."""
    difference: Spread | None
    """mIoU less that of the row compared with, paired by seed."""
    iterations: int | None
    seconds_per_iteration: float | None
    training_seconds: float | None
    parameters: int | None
    term_shares: Mapping[str, float]
    """Part of an iteration's time that each term takes, as a share of 1."""


@dataclass(frozen=True)
class Table:
    """All of it."""

    split: str | None
    """Split on which mIoU was scored; None as long as no cell has a score."""
    lines: tuple[Line, ...]
    records: tuple[Record, ...]

    @property
    def failed(self) -> list[Record]:
        """Cells that ended with an error."""
        return [record for record in self.records if record.error]

    def to_json(self) -> dict[str, Any]:
        """results.json as plain values."""
        return asdict(self)


def record_of(cell: Cell, artifacts: Mapping[str, Artifact], error: str | None) -> Record:
    """Read a cell's figures out of the artifact of its student, where there is one."""
    places = {stage: f"{artifact.key}/{artifact.digest}" for stage, artifact in artifacts.items()}
    student = artifacts.get("distill")
    if student is None:
        return Record(cell.name, cell.row.name, cell.seed, error, artifacts=places)
    scores = json.loads((student.folder / "metrics.json").read_text())
    history = read_history(student.folder)
    return Record(
        cell=cell.name,
        row=cell.row.name,
        seed=cell.seed,
        error=error,
        miou={split: values["miou"] for split, values in scores.items()},
        iterations=cell.recipe.configs["distill"].model_dump()["iterations"],
        seconds_per_iteration=seconds_per_iteration(history),
        training_seconds=training_seconds(history),
        parameters=student.manifest["summary"].get("parameters"),
        term_seconds=term_seconds(history),
        artifacts=places,
    )


def table_of(records: Sequence[Record], compared_with: Mapping[Row, Row]) -> Table:
    """The table of all rows, in the order of `compared_with`."""
    scored = [record for record in records if record.miou]
    split = next((s for s in SPLITS if scored and all(s in record.miou for record in scored)), None)
    by_row = {row: [r for r in records if r.row == row.name] for row in compared_with}
    lines = (line_of(row, base, by_row[row], by_row[base], split) for row, base in compared_with.items())
    return Table(split, tuple(lines), tuple(records))


def line_of(row: Row, base: Row, own: Sequence[Record], theirs: Sequence[Record], split: str | None) -> Line:
    """One row, compared with the records of its base."""
    values, base_values = values_of(own, split), values_of(theirs, split)
    pairs = [values[seed] - base_values[seed] for seed in values if seed in base_values]
    seconds = mean_of([r.seconds_per_iteration for r in own])
    return Line(
        row=row.name,
        labels=row.labels,
        values=values,
        miou=spread(list(values.values())),
        compared_with=None if row == base else base.name,
        difference=None if row == base else spread(pairs),
        iterations=next((r.iterations for r in own if r.iterations is not None), None),
        seconds_per_iteration=seconds,
        training_seconds=mean_of([r.training_seconds for r in own]),
        parameters=next((r.parameters for r in own if r.parameters is not None), None),
        term_shares=term_shares(own),
    )


def values_of(records: Sequence[Record], split: str | None) -> dict[int, float]:
    """mIoU by seed of the cells that have it."""
    return {r.seed: r.miou[split] for r in records if split in r.miou} if split else {}


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and sample standard deviation; None of nothing."""
    return Spread(len(values), mean(values), stdev(values) if len(values) > 1 else None) if values else None


def mean_of(values: Sequence[float | None]) -> float | None:
    """Mean of the values that are there."""
    there = [value for value in values if value is not None]
    return mean(there) if there else None


def term_shares(records: Sequence[Record]) -> dict[str, float]:
    """Each term's mean part of an iteration, over the cells that say it."""
    shares = [
        {term: seconds / r.seconds_per_iteration for term, seconds in r.term_seconds.items()}
        for r in records
        if r.seconds_per_iteration
    ]
    terms = dict.fromkeys(term for each in shares for term in each)
    return {term: mean(each[term] for each in shares if term in each) for term in terms}
