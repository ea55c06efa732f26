"""What a training wrote down of its time: rows of history.jsonl as plain values."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

Row = Mapping[str, Any]


def read_history(folder: Path) -> list[Row]:
    """The rows of an artifact or of a work folder; none where it has no history."""
    path = folder / "history.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def seconds_per_iteration(history: Sequence[Row], warmup: int = 0) -> float | None:
    """Mean time of an iteration after the first row, or after `warmup` iterations; None where there are no two rows.

    The first iteration starts the loader's processes and chooses kernels, so it is never counted.
    """
    rows = [row for row in history if row["iteration"] >= warmup]
    if len(rows) < 2:
        return None
    seconds = rows[-1]["seconds"] - rows[0]["seconds"]
    return float(seconds / (rows[-1]["iteration"] - rows[0]["iteration"]))


def term_seconds(history: Sequence[Row]) -> dict[str, float]:
    """Median time that each loss term takes in an iteration, forward and backward, over the rows that say it.

    The first of several such rows is left out: it holds what a first call costs.
    """
    noted = [row["term_seconds"] for row in history if "term_seconds" in row]
    noted = noted[1:] or noted
    terms = dict.fromkeys(term for each in noted for term in each)
    return {term: median(each[term] for each in noted if term in each) for term in terms}


def training_seconds(history: Sequence[Row]) -> float | None:
    """Wall clock of the whole training loop."""
    return float(history[-1]["seconds"]) if history else None
