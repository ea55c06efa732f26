"""Paired ratios: by hand, and by simulation that the interval holds the truth as often as it says."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from bench.turns.ratio import middle, paired_ratio, sign_interval
from bench.turns.timing import Candidate, Row, Schedule, measure

MS = 1_000_000
RUNS = 400
"""Simulated measurements of each kind of machine."""
SLACK = 2 * math.sqrt(0.95 * 0.05 / RUNS)
"""Two standard deviations of the share that as many runs show of a chance of 95 %."""


def row_of(*rounds_ms: list[float]) -> Row:
    rounds_ns = [[round(sample * MS) for sample in samples] for samples in rounds_ms]
    return Row("row", rounds_ns=rounds_ns, wall_ns=sum(map(sum, rounds_ns)))


@pytest.mark.parametrize(
    ("rounds", "cut", "confidence"),
    [(1, 0, 0.0), (3, 0, 0.75), (5, 0, 0.9375), (6, 0, 1 - 2 / 64), (10, 1, 1 - 22 / 1024), (20, 5, 0.9586)],
)
def test_how_many_rounds_the_interval_leaves_out(rounds: int, cut: int, confidence: float) -> None:
    """Of ten fair coins none or one fall on a given side in 11 of 1024 cases."""
    assert sign_interval(rounds, 0.95) == (cut, pytest.approx(confidence, abs=1e-4))


def test_the_interval_runs_from_the_second_to_the_last_but_one_of_ten_rounds() -> None:
    above = row_of(*([float(ratio)] for ratio in (9, 2, 7, 4, 6, 3, 8, 5, 10, 1)))
    found = paired_ratio(above, row_of(*([1.0] for _ in range(10))))
    assert (found.low, found.ratio, found.high) == (2, 5.5, 9)
    assert found.half_width == pytest.approx(3.5 / 5.5)


def test_a_turn_of_an_even_number_leaves_out_its_last() -> None:
    """Of 1, 100 the median counts as 1; of 3, 1, 2, 100 as 2."""
    assert [middle([1, 100]), middle([3, 1, 2, 100]), middle([7]), middle([1, 2, 9])] == [1, 2, 7, 2]


def test_a_quarter_of_spoiled_rounds_does_not_move_it() -> None:
    above = row_of(*([4.0] for _ in range(15)), *([40.0] for _ in range(5)))
    found = paired_ratio(above, row_of(*([2.0] for _ in range(20))))
    assert (found.low, found.ratio, found.high) == (2, 2, 2)


def test_ratio_of_constant_rows_is_exact() -> None:
    ratio = paired_ratio(row_of([8, 8], [8, 8], [8]), row_of([2, 2], [2], [2, 2]))
    assert (ratio.ratio, ratio.low, ratio.high, ratio.rounds) == (4, 4, 4, 3)
    assert (ratio.confidence, ratio.half_width) == (0.75, 0)


def test_ratio_is_paired_within_rounds() -> None:
    """The machine is three times slower in the second round for both: the ratio does not notice."""
    ratio = paired_ratio(row_of([4, 4], [12, 12], [4, 4]), row_of([2, 2], [6, 6], [2, 2]))
    assert (ratio.ratio, ratio.low, ratio.high) == (2, 2, 2)


def noisy_rounds(seed: int, scale: float = 1.0) -> Row:
    rng = np.random.default_rng(seed)
    return row_of(*(list(scale * rng.lognormal(1.0, 0.1, size=21)) for _ in range(20)))


def test_interval_of_a_noisy_candidate_against_itself_contains_one() -> None:
    ratio = paired_ratio(noisy_rounds(1), noisy_rounds(2))
    assert ratio.low < 1 < ratio.high
    assert ratio.high - ratio.low < 0.2


def test_interval_of_a_noisy_candidate_against_a_slower_one_lies_above_one() -> None:
    ratio = paired_ratio(noisy_rounds(1, scale=1.5), noisy_rounds(2))
    assert 1.3 < ratio.low < ratio.ratio < ratio.high < 1.7


class Machine:
    """A clock that a drifting machine turns: each inference takes its candidate's time, the machine's factor of the
    moment and heavy-tailed noise of its own."""

    def __init__(self, drift: Callable[[np.random.Generator, int], np.ndarray], seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.now = 0
        # A factor for each 100 ms, far longer than a run; and one for each inference.
        self.factors = np.exp(drift(rng, 400)).tolist()
        self.noise = iter((1 + 0.02 * np.abs(rng.standard_t(2, 4000))).tolist())

    def __call__(self) -> int:
        return self.now

    def candidate(self, name: str, duration_ms: float) -> Candidate:
        def call() -> None:
            self.now += round(duration_ms * MS * self.factors[self.now // (100 * MS)] * next(self.noise))

        return Candidate(name, lambda: call)

    def placed(self, name: str, seed: int, reloads: bool) -> Candidate:
        """One that is some percent faster or slower for as long as it stays loaded."""
        rng = np.random.default_rng(seed)
        place = 1.0

        def again() -> None:
            nonlocal place
            place = 1 + 0.03 * rng.standard_normal()

        def call() -> None:
            self.now += round(10 * MS * place * next(self.noise))

        def load() -> Callable[[], None]:
            again()
            return call

        return Candidate(name, load, again if reloads else None)


def walk(rng: np.random.Generator, n: int) -> np.ndarray:
    """A random walk with heavy-tailed steps, as temperatures and clocks do."""
    return np.cumsum(0.01 * rng.standard_t(3, n))


def neighbours(rng: np.random.Generator, n: int) -> np.ndarray:
    """Others on the machine: half as slow again for some hundred milliseconds, now and then."""
    return 0.4 * np.repeat(rng.random(n // 4) < 0.15, 4)


def correlated(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise that lasts a few turns."""
    values = np.zeros(n)
    for index in range(1, n):
        values[index] = 0.8 * values[index - 1] + 0.01 * rng.standard_t(3)
    return values


def heating(rng: np.random.Generator, n: int) -> np.ndarray:
    """Steadily slower, and a swing of some seconds on top."""
    return np.linspace(0, 0.5, n) + 0.1 * np.sin(np.arange(n) / rng.uniform(2, 20) + rng.uniform(0, 7))


@pytest.mark.parametrize("drift", [walk, neighbours, correlated, heating])
@pytest.mark.parametrize("truth", [1.0, 1.3])
def test_under_drift_and_heavy_tails_the_interval_holds_the_truth_in_95_of_100_runs(
    drift: Callable[[np.random.Generator, int], np.ndarray], truth: float
) -> None:
    """The true ratio is that of the durations: factor and noise are drawn alike for both."""
    schedule = Schedule(warmup_s=0, min_s=0.5, max_s=10, min_samples=40, repeats=20)
    held, widths = 0, []
    for seed in range(RUNS):
        machine = Machine(drift, seed)
        candidates = [machine.candidate("above", 10 * truth), machine.candidate("below", 10)]
        found = paired_ratio(*measure(candidates, schedule, machine, seed=seed))
        held += found.low <= truth <= found.high
        widths.append(found.half_width)
    assert held / RUNS >= 0.95 - SLACK
    # Not by being wide: the interval is of use under each of these.
    assert np.median(widths) < 0.06


def test_where_a_model_lies_in_memory_is_part_of_the_interval_once_it_is_loaded_anew() -> None:
    """Loaded once, the same file is told apart from itself in most runs; loaded anew in each round it is not."""
    schedule = Schedule(warmup_s=0, min_s=0.5, max_s=10, min_samples=100, repeats=20)
    held = {True: 0, False: 0}
    for reloads in held:
        for seed in range(RUNS // 2):
            machine = Machine(lambda rng, n: np.zeros(n), seed)
            candidates = [machine.placed("one", 2 * seed, reloads), machine.placed("other", 2 * seed + 1, reloads)]
            found = paired_ratio(*measure(candidates, schedule, machine, seed=seed))
            held[reloads] += found.low <= 1 <= found.high
    assert held[True] / (RUNS // 2) >= 0.95 - 1.5 * SLACK
    assert held[False] / (RUNS // 2) < 0.5
