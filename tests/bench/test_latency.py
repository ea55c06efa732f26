"""The measuring engine on a clock that the test turns by hand, and once on the real one."""

import statistics as reference
import time
from collections.abc import Callable

import numpy as np
import pytest

from bench.latency import (
    Candidate,
    Row,
    Schedule,
    measure,
    paired_ratio,
    settled,
    skipped,
    statistics,
    steps,
    warnings,
)

MS = 1_000_000


class HandClock:
    """A clock in nanoseconds that stands still until `pass_ms` is called."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def pass_ms(self, duration_ms: float) -> None:
        self.now += round(duration_ms * MS)


def taking(clock: HandClock, duration_ms: float) -> Callable[[], Callable[[], None]]:
    return lambda: lambda: clock.pass_ms(duration_ms)


def row_of(*rounds_ms: list[float]) -> Row:
    rounds_ns = [[round(sample * MS) for sample in samples] for samples in rounds_ms]
    return Row("row", rounds_ns=rounds_ns, wall_ns=sum(map(sum, rounds_ns)))


def test_percentiles_by_hand() -> None:
    """Of 1..11 the q-th percentile lies at 1 + q / 10."""
    figures = statistics([float(value) for value in (6, 1, 11, 3, 9, 2, 10, 4, 8, 5, 7)])
    assert (figures.min_ms, figures.max_ms, figures.mean_ms, figures.n) == (1, 11, 6, 11)
    assert (figures.p50_ms, figures.p90_ms) == (6, 10)
    assert figures.p95_ms == pytest.approx(10.5)
    assert figures.p99_ms is None
    assert figures.sd_ms == pytest.approx(reference.stdev(range(1, 12)))


def test_p99_needs_a_hundred_samples() -> None:
    assert statistics([1.0] * 99).p99_ms is None
    assert statistics([float(value) for value in range(101)]).p99_ms == pytest.approx(99)


def test_a_single_sample_has_no_spread() -> None:
    figures = statistics([2.0])
    assert (figures.p50_ms, figures.sd_ms, figures.n) == (2, 0, 1)


def test_load_and_first_inference_stand_apart() -> None:
    clock = HandClock()
    durations_ms = iter([50.0])

    def load() -> Callable[[], None]:
        clock.pass_ms(700)
        return lambda: clock.pass_ms(next(durations_ms, 2.0))

    (row,) = measure([Candidate("slow start", load)], Schedule(), clock)
    assert (row.load_ms, row.first_ms) == (700, 50)
    assert set(row.samples_ms) == {2.0}


def test_runs_until_both_minimum_time_and_samples() -> None:
    clock = HandClock()
    schedule = Schedule(warmup_s=0.6, min_s=1.0, max_s=60, min_samples=100, repeats=5)
    quick, slow = measure([Candidate("quick", taking(clock, 1)), Candidate("slow", taking(clock, 40))], schedule, clock)
    assert [len(samples) for samples in quick.rounds_ns] == [200] * 5
    assert [len(samples) for samples in slow.rounds_ns] == [20] * 5


def test_max_s_ends_a_measurement_without_enough_samples() -> None:
    clock = HandClock()
    schedule = Schedule(warmup_s=1, min_s=3, max_s=60, min_samples=100, repeats=3)
    (row,) = measure([Candidate("R101 on two cores", taking(clock, 5000))], schedule, clock)
    assert [len(samples) for samples in row.rounds_ns] == [4] * 3
    assert row.warmup_settled is False


def test_throughput_is_images_over_wall_time_not_one_over_the_mean() -> None:
    """Each reading of this clock costs 1 ms: samples of 8 ms become 9, and the loop takes 11 an inference."""

    class Costly(HandClock):
        def __call__(self) -> int:
            self.pass_ms(1)
            return self.now

    clock = Costly()
    (row,) = measure([Candidate("c", taking(clock, 8))], Schedule(repeats=3), clock)
    figures = row.to_json(batch=2)
    assert figures["statistics"]["mean_ms"] == 9
    assert figures["images_per_s"] == pytest.approx(2 * 1000 / 11, rel=0.01)


def test_candidates_take_turns_in_reversed_order() -> None:
    clock = HandClock()
    seen: list[str] = []
    schedule = Schedule(repeats=3)
    candidates = [Candidate(name, taking(clock, 10)) for name in ("a", "b")]
    measure(candidates, schedule, clock, on_done=seen.append)
    assert len(seen) == steps(2, schedule)
    assert [step[0] for step in seen[-6:]] == ["a", "b", "b", "a", "a", "b"]


@pytest.mark.parametrize("when", ["load", "first inference", "a later round"])
def test_a_failing_candidate_is_a_row_and_the_others_are_measured(when: str) -> None:
    clock = HandClock()
    calls = iter(range(10_000))

    def load() -> Callable[[], None]:
        if when == "load":
            raise RuntimeError("no such provider\nand a trace")

        def call() -> None:
            clock.pass_ms(10)
            if next(calls) == (0 if when == "first inference" else 400):
                raise RuntimeError("no such provider\nand a trace")

        return call

    candidates = [Candidate("broken", load), Candidate("sound", taking(clock, 10))]
    broken, sound = measure(candidates, Schedule(), clock)
    assert (broken.status, broken.why) == ("failed", "RuntimeError: no such provider")
    assert broken.to_json()["statistics"] is None
    assert broken.to_json()["images_per_s"] is None
    assert sound.status == "ok"
    assert sound.to_json()["statistics"]["p50_ms"] == 10


def test_skipped_row_has_no_figures() -> None:
    row = skipped("engine", "no TensorRT").to_json()
    assert (row["status"], row["why"]) == ("skipped", "no TensorRT")
    assert (row["statistics"], row["rounds_ms"]) == (None, [])


def test_warm_up_lasts_until_the_spread_settles() -> None:
    """Inferences grow faster by half a window's worth until the clocks are up, then stay."""
    clock = HandClock()
    durations_ms = iter([100.0 - step for step in range(90)])
    ramp = Candidate("ramp", lambda: lambda: clock.pass_ms(next(durations_ms, 10.0)))
    (row,) = measure([ramp], Schedule(warmup_s=30), clock)
    assert row.warmup_settled is True
    assert set(row.samples_ms) == {10.0}


def test_settled_compares_the_last_three_windows() -> None:
    assert not settled([1.0, 1.0])
    assert settled([9.0, 1.0, 1.04, 1.02])
    assert not settled([1.0, 1.0, 1.06])


def test_unsteady_rows_carry_a_warning() -> None:
    assert warnings(statistics([1.0, 1.0, 1.0]), True) == []
    (note,) = warnings(statistics([1.0, 2.0, 1.0]), True)
    assert "coefficient of variation 43.3%" in note
    assert len(warnings(statistics([1.0, 2.0]), False)) == 2


def test_ratio_of_constant_rows_is_exact() -> None:
    ratio = paired_ratio(row_of([8, 8], [8, 8], [8]), row_of([2, 2], [2], [2, 2]))
    assert (ratio.ratio, ratio.low, ratio.high, ratio.rounds) == (4, 4, 4, 3)


def test_ratio_is_paired_within_rounds() -> None:
    """The machine is three times slower in the second round for both: the ratio does not notice."""
    ratio = paired_ratio(row_of([4, 4], [12, 12], [4, 4]), row_of([2, 2], [6, 6], [2, 2]))
    assert (ratio.ratio, ratio.low, ratio.high) == (2, 2, 2)


def noisy_rounds(seed: int, scale: float = 1.0) -> Row:
    rng = np.random.default_rng(seed)
    return row_of(*(list(scale * rng.lognormal(1.0, 0.1, size=21)) for _ in range(5)))


def test_interval_of_a_noisy_candidate_against_itself_contains_one() -> None:
    ratio = paired_ratio(noisy_rounds(1), noisy_rounds(2))
    assert ratio.low < 1 < ratio.high
    assert ratio.high - ratio.low < 0.2


def test_interval_of_a_noisy_candidate_against_a_slower_one_lies_above_one() -> None:
    ratio = paired_ratio(noisy_rounds(1, scale=1.5), noisy_rounds(2))
    assert 1.3 < ratio.low < ratio.ratio < ratio.high < 1.7


def test_interval_agrees_with_a_plain_bootstrap_of_the_same_design() -> None:
    above, below = noisy_rounds(3), noisy_rounds(4)
    rng = np.random.default_rng(7)
    rounds = range(len(above.rounds_ns))
    estimates = []
    for _ in range(1500):
        chosen = rng.choice(len(rounds), size=len(rounds))
        tops = [np.median(rng.choice(above.rounds_ns[index], size=21)) for index in chosen]
        bottoms = [np.median(rng.choice(below.rounds_ns[index], size=21)) for index in chosen]
        estimates.append(np.median(np.divide(tops, bottoms)))
    low, high = np.quantile(estimates, (0.025, 0.975))
    ratio = paired_ratio(above, below)
    assert ratio.low == pytest.approx(low, abs=0.015)
    assert ratio.high == pytest.approx(high, abs=0.015)


def test_on_the_real_clock_a_callable_is_as_fast_as_itself() -> None:
    schedule = Schedule(warmup_s=0.05, min_s=0.15, max_s=2, min_samples=15, repeats=3)
    candidates = [Candidate(name, lambda: lambda: time.sleep(0.003)) for name in ("one", "other")]
    one, other = measure(candidates, schedule)
    assert min(one.samples_ms) >= 3
    assert len(one.samples_ms) >= 15
    ratio = paired_ratio(one, other)
    assert ratio.low < 1.25
    assert ratio.high > 0.8
