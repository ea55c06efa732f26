"""Latency of several callables, measured in turns.

Candidates that take turns within one run share the machine's clocks, heat and neighbours, so that their ratio
can be told apart from drift. One after the other, whichever runs last on a warm board loses for no fault of
its own.

A run: every candidate is loaded, makes its first inference and warms up; then `repeats` rounds follow, in
each of which every candidate runs alone for its share of the time. The order is reversed from round to round.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
P99_MIN_SAMPLES = 100
WARMUP_WINDOWS = 6
WARMUP_SPREAD = 0.05
STEADY_CV = 0.025

Call = Callable[[], object]
Clock = Callable[[], int]
During = Callable[[str], AbstractContextManager[object]]
"""Name of a candidate -> what is entered around each of its turns, such as a meter."""


@dataclass(frozen=True)
class Candidate:
    """One row of a latency table before it is measured."""

    name: str
    load: Callable[[], Call]
    """Prepares whatever is needed (`load_ms`) and returns the callable that makes one inference.

    The callable returns once its result is in host memory: what a GPU has queued is then done.
    """


@dataclass(frozen=True)
class Schedule:
    """How long each candidate runs, over all rounds together."""

    warmup_s: float = 3.0
    """Longest warm-up; it ends sooner when the spread settles."""
    min_s: float = 3.0
    max_s: float = 60.0
    """Ends the measurement even where `min_samples` was not reached."""
    min_samples: int = 100
    repeats: int = 5
    """Rounds in which the candidates take turns, 3 or more."""


@dataclass(frozen=True)
class Statistics:
    """Figures of one candidate's samples, in milliseconds."""

    min_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float | None
    max_ms: float
    mean_ms: float
    sd_ms: float
    n: int


@dataclass
class Row:
    """What was measured of one candidate."""

    name: str
    status: Literal["ok", "skipped", "failed"] = "ok"
    why: str = ""
    load_ms: float | None = None
    first_ms: float | None = None
    warmup_settled: bool | None = None
    rounds_ns: list[list[int]] = field(default_factory=list)
    wall_ns: int = 0

    @property
    def samples_ms(self) -> list[float]:
        """Every sample in the order of measurement."""
        return [sample / NS_PER_MS for samples in self.rounds_ns for sample in samples]

    def to_json(self, batch: int = 1) -> dict[str, Any]:
        """Figures, warnings and raw samples as plain data; `batch` images were in each inference."""
        ok = self.status == "ok"
        figures = statistics(self.samples_ms) if ok else None
        return {
            "name": self.name,
            "status": self.status,
            "why": self.why,
            "load_ms": self.load_ms,
            "first_ms": self.first_ms,
            "statistics": asdict(figures) if figures else None,
            "images_per_s": batch * figures.n * NS_PER_S / self.wall_ns if figures else None,
            "warnings": warnings(figures, self.warmup_settled) if figures else [],
            "rounds_ms": [[sample / NS_PER_MS for sample in samples] for samples in self.rounds_ns],
        }


@dataclass(frozen=True)
class Ratio:
    """How many times slower `numerator` is than `denominator`, with its confidence interval."""

    numerator: str
    denominator: str
    ratio: float
    low: float
    high: float
    confidence: float
    rounds: int


def skipped(name: str, why: str) -> Row:
    """Row of a candidate that cannot run here."""
    return Row(name, status="skipped", why=why)


def statistics(samples_ms: Sequence[float]) -> Statistics:
    """Figures of `samples_ms` (milliseconds, at least one).

    Percentiles interpolate linearly between order statistics; `p99_ms` is None under 100 samples. `sd_ms` is
    the sample standard deviation (n - 1), 0 for a single sample.
    """
    samples = np.asarray(samples_ms, dtype=np.float64)
    p50, p90, p95, p99 = (float(value) for value in np.percentile(samples, (50, 90, 95, 99)))
    return Statistics(
        min_ms=float(samples.min()),
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99 if samples.size >= P99_MIN_SAMPLES else None,
        max_ms=float(samples.max()),
        mean_ms=float(samples.mean()),
        sd_ms=float(samples.std(ddof=1)) if samples.size > 1 else 0.0,
        n=samples.size,
    )


def warnings(figures: Statistics, warmup_settled: bool | None) -> list[str]:
    """Why a row should be read with care; empty for a steady one."""
    notes = []
    variation = figures.sd_ms / figures.mean_ms
    if variation > STEADY_CV:
        notes.append(f"coefficient of variation {variation:.1%} is above {STEADY_CV:.1%}")
    if warmup_settled is False:
        notes.append("the warm-up ended at its cap before the spread settled")
    return notes


def measure(
    candidates: Iterable[Candidate],
    schedule: Schedule,
    clock: Clock = time.perf_counter_ns,
    on_done: Callable[[str], None] = lambda step: None,
    during: During = nullcontext,
) -> list[Row]:
    """Measures every candidate; a row each, in the order given.

    A candidate that raises becomes a row `failed` with the reason and takes no further part. `on_done(step)`
    is called after each load, warm-up and turn: `steps(len(candidates), schedule)` times where nothing fails.
    `during(name)` surrounds exactly the inferences that are sampled.
    """
    assert schedule.repeats >= 3, "fewer than three rounds give no interval"
    turns = [_Turn(candidate, clock, during) for candidate in candidates]
    for turn in turns:
        turn.attempt(turn.load)
        on_done(f"{turn.row.name}: loaded")
    for turn in turns:
        turn.attempt(turn.warm_up, schedule)
        on_done(f"{turn.row.name}: warmed up")
    for number in range(schedule.repeats):
        for turn in turns if number % 2 == 0 else reversed(turns):
            turn.attempt(turn.sample, schedule)
            on_done(f"{turn.row.name}: round {number + 1} of {schedule.repeats}")
    return [turn.row for turn in turns]


def steps(candidates: int, schedule: Schedule) -> int:
    """How often `measure` calls `on_done`."""
    return candidates * (2 + schedule.repeats)


class _Turn:
    """A candidate under measurement: its callable, and the row being filled."""

    def __init__(self, candidate: Candidate, clock: Clock, during: During) -> None:
        self.candidate = candidate
        self.clock = clock
        self.during = during
        self.row = Row(candidate.name)
        self.call: Call | None = None

    def attempt(self, step: Callable[..., None], *arguments: Schedule) -> None:
        """Runs one step; an exception ends this candidate alone."""
        if self.row.status != "ok":
            return
        try:
            step(*arguments)
        except Exception as error:
            first_line = (str(error).strip().splitlines() or ["no message"])[0]
            self.row.status, self.row.why = "failed", f"{type(error).__name__}: {first_line}"
            self.call = None

    def load(self) -> None:
        start = self.clock()
        self.call = self.candidate.load()
        self.row.load_ms = (self.clock() - start) / NS_PER_MS
        self.row.first_ms = self._once() / NS_PER_MS

    def warm_up(self, schedule: Schedule) -> None:
        window_ns = schedule.warmup_s * NS_PER_S / WARMUP_WINDOWS
        medians: list[float] = []
        start = self.clock()
        while not settled(medians):
            if self.clock() - start >= schedule.warmup_s * NS_PER_S:
                self.row.warmup_settled = False
                return
            medians.append(float(np.median(self._until(window_ns))))
        self.row.warmup_settled = True

    def sample(self, schedule: Schedule) -> None:
        """One round's share of samples.

        The first call is not counted: it refills the caches that the candidate before has emptied.
        """
        self._once()
        with self.during(self.row.name):
            start = self.clock()
            samples = self._until(
                schedule.min_s * NS_PER_S / schedule.repeats,
                schedule.max_s * NS_PER_S / schedule.repeats,
                -(-schedule.min_samples // schedule.repeats),
            )
            self.row.wall_ns += self.clock() - start
        self.row.rounds_ns.append(samples)

    def _once(self) -> int:
        assert self.call is not None, "a candidate runs after it was loaded"
        start = self.clock()
        self.call()
        return self.clock() - start

    def _until(self, min_ns: float, max_ns: float = float("inf"), min_samples: int = 1) -> list[int]:
        """Samples until `min_ns` and `min_samples` are both reached, or `max_ns`."""
        samples: list[int] = []
        start = self.clock()
        elapsed = 0
        while elapsed < max_ns and (elapsed < min_ns or len(samples) < min_samples):
            samples.append(self._once())
            elapsed = self.clock() - start
        return samples


def settled(medians: Sequence[float]) -> bool:
    """Whether the last three windows of a warm-up agree to 5 %."""
    last = medians[-3:]
    return len(last) == 3 and max(last) - min(last) <= WARMUP_SPREAD * min(last)


def paired_ratio(
    numerator: Row, denominator: Row, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Ratio:
    """How many times slower `numerator` is, from the rounds that both shared.

    The ratio is the median over rounds of the ratio of the two medians of a round. The interval is a
    two-level percentile bootstrap (rounds are drawn, then samples within a round), so that both the scatter
    of single inferences and the drift between rounds widen it. Both rows must be `ok`.
    """
    pairs = list(zip(numerator.rounds_ns, denominator.rounds_ns, strict=True))
    ratios = [float(np.median(above) / np.median(below)) for above, below in pairs]
    rng = np.random.default_rng(seed)
    estimates = np.median([_redrawn_round(pairs, resamples, rng) for _ in pairs], axis=0)
    tail = (1 - confidence) / 2
    low, high = np.quantile(estimates, (tail, 1 - tail))
    return Ratio(
        numerator=numerator.name,
        denominator=denominator.name,
        ratio=float(np.median(ratios)),
        low=float(low),
        high=float(high),
        confidence=confidence,
        rounds=len(pairs),
    )


def _redrawn_round(
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]], resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """`resamples` times the ratio of the two medians of a round, it and then its samples drawn at random."""
    ratios = np.stack(
        [_redrawn_medians(above, resamples, rng) / _redrawn_medians(below, resamples, rng) for above, below in pairs]
    )
    return ratios[rng.integers(len(pairs), size=resamples), np.arange(resamples)]


def _redrawn_medians(samples: Sequence[int], resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Medians of bootstrap draws of `samples`, float64 of length `resamples`.

    The median of n uniform draws follows Beta((n + 1) / 2, (n + 1) / 2), so that one beta variate picks the
    order statistic that drawing n samples with replacement would give: exact for odd n, and never n x
    resamples in memory.
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    middle = (len(ordered) + 1) / 2
    return ordered[(rng.beta(middle, middle, size=resamples) * len(ordered)).astype(np.intp)]
