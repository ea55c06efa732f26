"""How much slower the same file became between two reports, from their raw samples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.report.points import Report
from bench.report.words import more_title

RESAMPLES = 4000
CONFIDENCE = 0.95
Rounds = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Slowdown:
    """Median of a row over that of the same row elsewhere, with its confidence interval: above 1 is slower."""

    name: str
    then_ms: float
    """Median of the round medians in the other report."""
    now_ms: float
    ratio: float
    low: float
    high: float
    confidence: float = CONFIDENCE


def slowdown(name: str, now_ms: Rounds, then_ms: Rounds, seed: int = 0) -> Slowdown:
    """Ratio of the medians over rounds of the rounds' medians.

    The rounds of two reports were not measured in turns, so that they are not pairs: either side is drawn anew by
    itself (two-level percentile bootstrap: rounds, then samples within a round), and drift between rounds widens the
    interval.
    """
    rng = np.random.default_rng(seed)
    now, then = (float(np.median([np.median(samples) for samples in rounds])) for rounds in (now_ms, then_ms))
    estimates = redrawn(now_ms, rng) / redrawn(then_ms, rng)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(estimates, (tail, 1 - tail))
    return Slowdown(name, then, now, now / then, float(low), float(high))


def redrawn(rounds: Rounds, rng: np.random.Generator) -> np.ndarray:
    """`RESAMPLES` bootstrap estimates of the median over rounds of the rounds' medians, float64."""
    medians = np.stack([redrawn_medians(samples, rng) for samples in rounds])
    drawn = rng.integers(len(medians), size=(len(medians), RESAMPLES))
    return np.asarray(np.median(np.take_along_axis(medians, drawn, axis=0), axis=0))


def redrawn_medians(samples: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Medians of `RESAMPLES` draws of a round's samples; its middle order statistic follows a beta distribution."""
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    middle = (len(ordered) + 1) / 2
    return np.asarray(ordered[(rng.beta(middle, middle, size=RESAMPLES) * len(ordered)).astype(np.intp)])


def row_key(report: Report, row: Mapping[str, Any], batch: int, size_px: Sequence[int] | None) -> tuple[Any, ...]:
    """What must be equal for two rows to be one measurement taken twice: which file in what, and how."""
    settings = report["latency"]["settings"]
    threads = settings.get("threads", report["environment"]["cpu"]["threads"])
    size = tuple(size_px) if size_px else None
    quantity = row.get("quantity", "inference")
    return (row["name"], row["runtime"], row["file"], quantity, batch, settings.get("device"), threads, size)


def keyed(report: Report) -> Iterator[tuple[tuple[Any, ...], str, Mapping[str, Any]]]:
    """(key, name, row) of every row; in a table of a further batch or size the name tells which."""
    latency = report["latency"]
    batch, size_px = latency["settings"]["batch"], report["data"]["size_px"] if "data" in report else None
    for row in latency["rows"]:
        yield row_key(report, row, batch, size_px), row["name"], row
    for table in latency.get("more", []):
        for row in table["rows"]:
            name = f"{row['name']}, {more_title(table).lower()}"
            yield row_key(report, row, table["batch"], table["size_px"]), name, row


def slowdowns(now: Report, then: Report) -> tuple[list[Slowdown], list[str]]:
    """A slowdown for each row that both reports measured alike; and why each other row of `now` has none."""
    known = {key: (name, row) for key, name, row in keyed(then)}
    found, apart = [], []
    for key, name, row in keyed(now):
        _, other = known.pop(key, (name, None))
        if row["status"] != "ok":
            apart.append(f"{name}: {row['status']} ({row['why']})")
        elif other is None:
            apart.append(f"{name}: the other report has no such row at this batch, size, device and threads")
        elif other["status"] != "ok":
            apart.append(f"{name}: {other['status']} in the other report ({other['why']})")
        else:
            found.append(slowdown(name, row["rounds_ms"], other["rounds_ms"]))
    alone = [name for name, row in known.values() if row["status"] == "ok"]
    return found, apart + [f"{name}: only in the other report" for name in alone]
