"""Times of several callables, measured in turns. It travels: numpy alone, Python 3.10.

Candidates that take turns within one run share the machine's clocks, heat and neighbours, so that their ratio
can be told apart from drift. One after the other, whichever runs last on a warm board loses for no fault of
its own.

A run: every candidate is loaded, makes its first inference and warms up; then `repeats` rounds follow, in
each of which every candidate runs alone for its share of the time. The order is drawn anew for each round:
`bench.turns.ratio` says why chance is better than any fixed pattern. Many short turns are better than a few long ones,
since the rounds are what an interval is made from. A meter that is too slow for short turns gets a long one afterwards.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from pipeline.errors import PipelineError

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
P99_MIN_SAMPLES = 100
WARMUP_WINDOWS = 6
WARMUP_SPREAD = 0.05
STEADY_CV = 0.025
INTERRUPTED = "interrupted before it was measured"
LEAST_ROUNDS = 6
"""Rounds that even a slow candidate takes part in: with fewer no interval has a confidence of 95 %."""

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
    reload: Callable[[], None] | None = None
    """Loads anew what the callable runs; None where that is impossible.

    Where a model comes to lie in memory makes it some tenths of a percent faster or slower for as long as it stays
    there. Loaded anew from round to round, that is one more thing that falls on a candidate by chance.
    """


@dataclass(frozen=True)
class Schedule:
    """How long each candidate runs, over all rounds together."""

    warmup_s: float = 3.0
    """Longest warm-up; it ends sooner when the spread settles."""
    min_s: float = 3.0
    max_s: float = 60.0
    """Ends the measurement even where `min_samples` was not reached, after `LEAST_ROUNDS` rounds at the soonest."""
    min_samples: int = 100
    repeats: int = 20
    """Rounds in which the candidates take turns, 3 or more."""

    @property
    def turn_s(self) -> float:
        """No turn of a round is shorter."""
        return min(self.min_s, self.max_s) / self.repeats


@dataclass(frozen=True)
class LongTurn:
    """One more turn of every candidate after all rounds, under a meter that a round's turn is too short for.

    No latency is taken from it: a candidate that fails in it keeps what the rounds have measured.
    """

    during: During
    """The meter, entered around each candidate's."""
    lead_s: float
    """What a candidate runs before the meter is entered: a sensor that lags has then forgotten whoever ran before."""
    metered_s: float
    """What it runs under the meter, in whole inferences."""


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
    notes: list[str] = field(default_factory=list)
    """What to beware of beside the `warnings` of its figures."""

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
            "warnings": [*warnings(figures, self.warmup_settled), *self.notes] if figures else [],
            "rounds_ms": [[sample / NS_PER_MS for sample in samples] for samples in self.rounds_ns],
        }


def reason(error: Exception) -> str:
    """An exception in one line: a message that was written for users as it is, any other behind its type's name."""
    if isinstance(error, PipelineError):
        return str(error)
    first_line = (str(error).strip().splitlines() or ["no message"])[0]
    return f"{type(error).__name__}: {first_line}"


def failed(name: str, why: str) -> Row:
    """Row of a candidate that could not even be prepared."""
    return Row(name, status="failed", why=why)


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
    seed: int = 0,
    during: During = nullcontext,
    long_turn: LongTurn | None = None,
    on_interrupt: Callable[[], None] | None = None,
) -> list[Row]:
    """Measures every candidate; a row each, in the order given.

    A candidate that raises becomes a row `failed` with the reason and takes no further part; one that has used up its
    `max_s` sits out the rounds that are left. `on_done(step)` is called after each load, warm-up and turn, taken
    or not: `steps(len(candidates), schedule, long_turn)` times. `seed` draws the order of the turns. `during(name)`
    surrounds the inferences of each turn of the rounds, which `long_turn` follows where there is one.

    Ctrl-C ends it. Where there is `on_interrupt`, that is called, and the rows have the turns that were finished: one
    without any is `failed`.
    """
    assert schedule.repeats >= 3, "fewer than three rounds give no interval"
    turns = [Turn(candidate, clock, during) for candidate in candidates]
    try:
        take_all(turns, schedule, on_done, seed, long_turn)
    except KeyboardInterrupt:
        if on_interrupt is None:
            raise
        on_interrupt()
        for turn in turns:
            turn.leave()
    return [turn.row for turn in turns]


def take_all(
    turns: Sequence[Turn],
    schedule: Schedule,
    on_done: Callable[[str], None],
    seed: int,
    long_turn: LongTurn | None,
) -> None:
    """Loads, warm-ups, rounds and long turns, as `measure` says."""
    for turn in turns:
        turn.attempt(turn.load)
        on_done(f"{turn.row.name}: loaded")
    for turn in turns:
        turn.attempt(turn.warm_up, schedule)
        on_done(f"{turn.row.name}: warmed up")
    rng = np.random.default_rng(seed)
    for number in range(schedule.repeats):
        for index in rng.permutation(len(turns)):
            turn = turns[index]
            turn.attempt(turn.sample, schedule)
            on_done(f"{turn.row.name}: round {number + 1} of {schedule.repeats}")
    if long_turn is not None:
        for turn in turns:
            turn.run_long(long_turn)
            on_done(f"{turn.row.name}: metered")


def steps(candidates: int, schedule: Schedule, long_turn: LongTurn | None = None) -> int:
    """How often `measure` calls `on_done`."""
    return candidates * (2 + schedule.repeats + (long_turn is not None))


class Turn:
    """A candidate under measurement: its callable, and the row being filled."""

    def __init__(self, candidate: Candidate, clock: Clock, during: During = nullcontext) -> None:
        self.candidate = candidate
        self.clock = clock
        self.during = during
        self.row = Row(candidate.name)
        self.call: Call | None = None
        self.spent_ns = 0
        """In all turns, calls that are not counted included."""
        self.turns = 0

    def attempt(self, step: Callable[..., None], *arguments: Schedule) -> None:
        """Runs one step; an exception ends this candidate alone."""
        if self.row.status != "ok":
            return
        try:
            step(*arguments)
        except Exception as error:
            self.row.status, self.row.why = "failed", reason(error)
            self.call = None

    def leave(self) -> None:
        """Ends before its time."""
        if self.row.status == "ok" and not self.row.rounds_ns:
            self.row.status, self.row.why = "failed", INTERRUPTED

    def load(self) -> None:
        """Load the candidate and make its first inference."""
        start = self.clock()
        self.call = self.candidate.load()
        self.row.load_ms = (self.clock() - start) / NS_PER_MS
        self.row.first_ms = self.once() / NS_PER_MS

    def warm_up(self, schedule: Schedule) -> None:
        """Run until the spread settles."""
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

        The first call is not counted: it refills the caches that the candidate before has emptied. Where one call
        takes longer than the turn may last, there is no other, and what a cache costs is nothing beside it.
        """
        if self.spent_ns >= schedule.max_s * NS_PER_S and len(self.row.rounds_ns) >= LEAST_ROUNDS:
            return
        self.load_again(schedule)
        longest_ns = schedule.max_s * NS_PER_S / schedule.repeats
        with collector_at_rest(), self.during(self.row.name):
            began = start = self.clock()
            samples = [self.once()]
            if samples[0] < longest_ns:
                start = self.clock()
                samples = self._until(
                    schedule.min_s * NS_PER_S / schedule.repeats,
                    longest_ns,
                    -(-schedule.min_samples // schedule.repeats),
                )
            end = self.clock()
        self.spent_ns += end - began
        self.row.wall_ns += end - start
        self.row.rounds_ns.append(samples)

    def run_long(self, long_turn: LongTurn) -> None:
        """The turn under a slow meter; an exception is a note beside the row."""
        if self.row.status != "ok":
            return
        try:
            with collector_at_rest():
                self._until(long_turn.lead_s * NS_PER_S)
                with long_turn.during(self.row.name):
                    self._until(long_turn.metered_s * NS_PER_S)
        except Exception as error:
            self.row.notes.append(f"failed in its long turn under the meter: {reason(error)}")

    def load_again(self, schedule: Schedule) -> None:
        """Load anew where it is this turn's due: as often as loading takes no longer than `min_s` in all."""
        assert self.row.load_ms is not None, "a candidate runs after it was loaded"
        self.turns += 1
        load_s = (self.row.load_ms + (self.row.first_ms or 0)) / 1000
        every = max(1, math.ceil(load_s * schedule.repeats / schedule.min_s)) if schedule.min_s > 0 else math.inf
        if self.candidate.reload is not None and self.turns > 1 and (self.turns - 1) % every == 0:
            self.candidate.reload()
            self.once()

    def once(self) -> int:
        """Nanoseconds of one inference."""
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
            samples.append(self.once())
            elapsed = self.clock() - start
        return samples


def settled(medians: Sequence[float]) -> bool:
    """Whether the last three windows of a warm-up agree to 5 %."""
    last = medians[-3:]
    return len(last) == 3 and max(last) - min(last) <= WARMUP_SPREAD * min(last)


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Python's garbage collector stands still: a collection amid a turn is no candidate's own."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
