"""The measuring engine on a clock that the test turns by hand, and once on the real one."""

import gc
import statistics as reference
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bench.turns.ratio import paired_ratio
from bench.turns.timing import (
    Candidate,
    LongTurn,
    Schedule,
    measure,
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


def test_the_order_of_the_turns_is_drawn_for_each_round() -> None:
    clock = HandClock()
    seen: list[str] = []
    schedule = Schedule(repeats=40)
    candidates = [Candidate(name, taking(clock, 10)) for name in ("a", "b", "c")]
    measure(candidates, schedule, clock, on_done=seen.append)
    assert len(seen) == steps(3, schedule)
    turns = [step[0] for step in seen[6:]]
    rounds = ["".join(turns[first : first + 3]) for first in range(0, len(turns), 3)]
    assert {"".join(sorted(order)) for order in rounds} == {"abc"}
    assert len(set(rounds)) == 6
    assert 10 <= sum(order.index("a") < order.index("b") for order in rounds) <= 30


def test_a_slow_candidate_takes_one_sample_a_turn_and_leaves_when_its_time_is_up() -> None:
    """Of 20 rounds each may last 3 s: one inference of 5 s is a turn, and 60 s are spent after twelve."""
    clock = HandClock()
    candidates = [Candidate("R101 on two cores", taking(clock, 5000)), Candidate("quick", taking(clock, 10))]
    slow, quick = measure(candidates, Schedule(), clock)
    assert [len(samples) for samples in slow.rounds_ns] == [1] * 12
    assert len(quick.rounds_ns) == 20
    assert paired_ratio(slow, quick).rounds == 12
    assert slow.to_json()["images_per_s"] == pytest.approx(0.2)


def test_six_rounds_are_taken_however_slow_a_candidate_is() -> None:
    clock = HandClock()
    (row,) = measure([Candidate("glacier", taking(clock, 90_000))], Schedule(), clock)
    assert len(row.rounds_ns) == 6


def test_garbage_is_not_collected_within_a_turn_and_is_again_after_it() -> None:
    seen = set()
    clock = HandClock()

    def call() -> None:
        seen.add(gc.isenabled())
        clock.pass_ms(10)

    measure([Candidate("c", lambda: call)], Schedule(warmup_s=0), clock)
    # The first inference was made before the turns.
    assert seen == {True, False}
    assert gc.isenabled()


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


def test_on_the_real_clock_a_callable_is_as_fast_as_itself() -> None:
    schedule = Schedule(warmup_s=0.05, min_s=0.15, max_s=2, min_samples=15, repeats=3)
    candidates = [Candidate(name, lambda: lambda: time.sleep(0.003)) for name in ("one", "other")]
    one, other = measure(candidates, schedule)
    assert min(one.samples_ms) >= 3
    assert len(one.samples_ms) >= 15
    ratio = paired_ratio(one, other)
    assert ratio.low < 1.25
    assert ratio.high > 0.8


@pytest.mark.parametrize(("load_ms", "reloads"), [(100, 19), (290, 9), (1500, 1), (60_000, 0)])
def test_a_model_is_loaded_anew_as_often_as_that_takes_no_longer_than_it_is_measured(
    load_ms: int, reloads: int
) -> None:
    """3 s of measurement in 20 rounds: 19 turns follow the first."""
    clock = HandClock()
    seen = []

    def load() -> Callable[[], None]:
        clock.pass_ms(load_ms)
        return lambda: clock.pass_ms(10)

    candidate = Candidate("c", load, lambda: seen.append(clock.pass_ms(load_ms)))
    (row,) = measure([candidate], Schedule(), clock)
    assert len(seen) == reloads
    assert set(row.samples_ms) == {10.0}


def test_a_long_turn_follows_the_rounds_and_gives_no_sample() -> None:
    """2 s before the meter is entered, 8 s within it, in whole inferences of 30 ms."""
    clock = HandClock()
    seen: list[str] = []
    metered_ms: dict[str, tuple[float, float]] = {}

    @contextmanager
    def meter(name: str) -> Iterator[None]:
        before = clock.now
        yield
        metered_ms[name] = (before - ended["at"]) / MS, (clock.now - before) / MS

    def done(step: str) -> None:
        seen.append(step)
        ended["at"] = clock.now

    ended = {"at": 0}
    long_turn = LongTurn(meter, 2.0, 8.0)
    candidates = [Candidate(name, taking(clock, 30)) for name in ("a", "b")]
    plain = measure(candidates, Schedule(), clock)
    rows = measure(candidates, Schedule(), clock, done, long_turn=long_turn)
    assert metered_ms == {"a": (2010, 8010), "b": (2010, 8010)}
    assert [row.rounds_ns for row in rows] == [row.rounds_ns for row in plain]
    assert [row.to_json()["images_per_s"] for row in rows] == [row.to_json()["images_per_s"] for row in plain]
    assert len(seen) == steps(2, Schedule(), long_turn) == steps(2, Schedule()) + 2
    assert seen[-2:] == ["a: metered", "b: metered"]


def test_what_fails_in_its_long_turn_keeps_its_figures_and_what_failed_before_has_none() -> None:
    clock = HandClock()
    entered: list[str] = []

    @contextmanager
    def meter(name: str) -> Iterator[None]:
        entered.append(name)
        yield

    def until_metered() -> None:
        clock.pass_ms(10)
        if entered:
            raise RuntimeError("out of memory")

    candidates = [Candidate("late", lambda: until_metered), Candidate("early", lambda: lambda: 1 / 0)]
    late, early = measure(candidates, Schedule(), clock, long_turn=LongTurn(meter, 0.1, 0.1))
    assert (late.status, early.status, entered) == ("ok", "failed", ["late"])
    figures = late.to_json()
    assert figures["statistics"]["p50_ms"] == 10
    assert figures["warnings"] == ["failed in its long turn under the meter: RuntimeError: out of memory"]


@pytest.mark.parametrize(("min_s", "max_s", "turn_s"), [(3.0, 60.0, 0.15), (3.0, 1.0, 0.05)])
def test_no_turn_is_shorter_than_told(min_s: float, max_s: float, turn_s: float) -> None:
    clock = HandClock()
    lasted_s = []

    @contextmanager
    def meter(name: str) -> Iterator[None]:
        before = clock.now
        yield
        lasted_s.append((clock.now - before) / 1e9)

    schedule = Schedule(min_s=min_s, max_s=max_s, min_samples=1)
    candidates = [Candidate(f"{duration_ms} ms", taking(clock, duration_ms)) for duration_ms in (1, 40, 400)]
    measure(candidates, schedule, clock, during=meter)
    assert schedule.turn_s == pytest.approx(turn_s)
    assert min(lasted_s) >= schedule.turn_s


def interrupting(clock: HandClock, at_call: int) -> Callable[[], Callable[[], None]]:
    """An inference of 10 ms, in one of which Ctrl-C is pressed."""
    calls = iter(range(10_000))

    def call() -> None:
        clock.pass_ms(10)
        if next(calls) == at_call:
            raise KeyboardInterrupt

    return lambda: call


def test_ctrl_c_keeps_the_turns_that_were_finished() -> None:
    """A turn is sixteen calls here, one of them not counted: after 150 of warm-up the third turn is under way."""
    clock = HandClock()
    entered: list[str] = []
    candidates = [Candidate("a", taking(clock, 10)), Candidate("b", interrupting(clock, 1 + 150 + 2 * 16 + 5))]
    one, other = measure(candidates, Schedule(), clock, on_interrupt=lambda: entered.append("told"))
    assert entered == ["told"]
    assert (one.status, other.status, len(other.rounds_ns)) == ("ok", "ok", 2)
    assert len(one.rounds_ns) in (2, 3)
    assert {len(samples) for samples in other.rounds_ns} == {15}
    ratio = paired_ratio(one, other)
    assert (ratio.rounds, ratio.confidence) == (2, 0.5)


def test_ctrl_c_before_a_candidate_s_first_turn_leaves_it_failed() -> None:
    clock = HandClock()
    candidates = [
        Candidate("broken", lambda: lambda: 1 / 0),
        Candidate("loaded", taking(clock, 10)),
        Candidate("loading", interrupting(clock, 0)),
    ]
    rows = measure(candidates, Schedule(), clock, on_interrupt=lambda: None)
    assert [row.status for row in rows] == ["failed"] * 3
    assert [row.why for row in rows][1:] == ["interrupted before it was measured"] * 2
    assert rows[0].why.startswith("ZeroDivisionError")
    assert gc.isenabled()


def test_ctrl_c_goes_to_whoever_does_not_ask_for_the_rows() -> None:
    clock = HandClock()
    with pytest.raises(KeyboardInterrupt):
        measure([Candidate("a", interrupting(clock, 300))], Schedule(), clock)


def test_ctrl_c_in_a_long_turn_keeps_every_round() -> None:
    clock = HandClock()

    @contextmanager
    def meter(name: str) -> Iterator[None]:
        raise KeyboardInterrupt
        yield

    row, _ = measure(
        [Candidate(name, taking(clock, 10)) for name in ("a", "b")],
        Schedule(),
        clock,
        long_turn=LongTurn(meter, 0.1, 0.1),
        on_interrupt=lambda: None,
    )
    assert (row.status, len(row.rounds_ns)) == ("ok", 20)
