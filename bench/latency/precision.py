"""How exact the program is on this machine, measured on the machine.

self-comparison  a model of 20 ms against itself: at least 17 of 20 intervals must hold 1, and half their width must be
                 3 % or less at the median
overhead         what measuring adds to a model of 1 ms, beside a bare loop over the same callable: 2 % or less
perf test        the latency of the 20 ms model beside that of a loop in the manner of onnxruntime_perf_test (one clock
                 reading before and one after session.run, the median of these): within 3 %

The last two take turns with the bare loops in one process, in an order that chance draws, in many short turns.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.latency.convolutions import images, write_taking
from bench.machine.environment import describe
from bench.turns.opened import Opened
from bench.turns.ratio import Ratio, paired_ratio
from bench.turns.timing import Call, Candidate, Row, Schedule, Turn, measure
from export.runtimes.onnx_runtime import OnnxRuntime
from pipeline.errors import NetworkError

SCHEMA_VERSION = 1
COMPARISONS, HOLDING = 20, 17
HALF_WIDTH, OVERHEAD, DEVIATION = 0.03, 0.02, 0.03
TURNS_A_ROUND, LEAST_CALLS = 10, 3
"""Where two loops are told apart by a percent: ten times the rounds, of three calls at least."""
LONG_MS, SHORT_MS = 20.0, 1.0
Say = Callable[[str], None]
Loop = Callable[[int], float]
"""So many calls -> nanoseconds of one, as that way of measuring tells it."""


def check(threads: int, schedule: Schedule, say: Say, comparisons: int = COMPARISONS) -> dict[str, Any]:
    """The JSON document: the three figures, their limits, and whether each is kept."""
    environment = describe(threads)
    with TemporaryDirectory() as folder:
        long, short = Path(folder) / "long.onnx", Path(folder) / "short.onnx"
        taken = {path.stem: write_taking(ms, path, threads) for path, ms in ((long, LONG_MS), (short, SHORT_MS))}
        say(f"models of {taken['long']:.1f} and {taken['short']:.2f} ms")
        ratios = [self_comparison(long, threads, schedule, seed, say) for seed in range(comparisons)]
        overhead = beside_bare_loop(short, threads, schedule)
        say(f"overhead {overhead.ratio - 1:+.2%}")
        deviation = beside_perf_test(long, threads, schedule)
        say(f"beside the perf test {deviation.ratio - 1:+.2%}")
    found = judged(ratios, overhead, deviation)
    settings = {**asdict(schedule), "threads": threads, "models_ms": taken}
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "self-check",
        "environment": environment,
        "settings": settings,
        "passed": all(part["passed"] for part in found.values()),
        **found,
    }


def self_comparison(path: Path, threads: int, schedule: Schedule, seed: int, say: Say) -> Ratio:
    """The ratio of a model to itself; NetworkError where it fails."""
    with ExitStack() as stack:

        def candidate(name: str) -> Candidate:
            opened, feeds = Opened(lambda: OnnxRuntime(path, threads=threads), stack), images()

            def load() -> Call:
                opened()
                return lambda: opened().run(feeds)

            return Candidate(name, load, opened.again)

        one, other = measure([candidate(name) for name in ("one", "other")], schedule, seed=seed)
    if not one.status == other.status == "ok":
        raise NetworkError(f"a chain of convolutions failed in onnxruntime: {one.why or other.why}")
    found = paired_ratio(one, other)
    say(f"self-comparison {seed + 1}: {found.ratio:.4f}, {found.low:.4f} to {found.high:.4f}")
    return found


def beside_bare_loop(path: Path, threads: int, schedule: Schedule) -> Ratio:
    """Wall time of an inference under the harness over that in a loop that does nothing else, on one session."""
    with OnnxRuntime(path, threads=threads) as runtime:
        feeds = images()
        turn = Turn(Candidate("harness", lambda: lambda: runtime.run(feeds)), time.perf_counter_ns)
        turn.load()

        def harness(calls: int) -> float:
            before_ns = turn.row.wall_ns
            turn.sample(of_calls(schedule, calls))
            return (turn.row.wall_ns - before_ns) / len(turn.row.rounds_ns[-1])

        def bare(calls: int) -> float:
            runtime.run(feeds)
            began = time.perf_counter_ns()
            for _ in range(calls):
                runtime.run(feeds)
            return (time.perf_counter_ns() - began) / calls

        return in_turns({"harness": harness, "bare loop": bare}, schedule, SHORT_MS)


def beside_perf_test(path: Path, threads: int, schedule: Schedule) -> Ratio:
    """Median of the harness over the median of a loop in the manner of onnxruntime's own program."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    with OnnxRuntime(path, threads=threads) as runtime:
        feeds = images()
        turn = Turn(Candidate("harness", lambda: lambda: runtime.run(feeds)), time.perf_counter_ns)
        turn.load()

        def harness(calls: int) -> float:
            turn.sample(of_calls(schedule, calls))
            return float(np.median(turn.row.rounds_ns[-1]))

        def perf_test(calls: int) -> float:
            session.run(None, feeds)
            taken = []
            for _ in range(calls):
                began = time.perf_counter_ns()
                session.run(None, feeds)
                taken.append(time.perf_counter_ns() - began)
            return float(np.median(taken))

        return in_turns({"harness": harness, "perf test": perf_test}, schedule, LONG_MS)


def of_calls(schedule: Schedule, calls: int) -> Schedule:
    """The schedule with turns of so many calls, however long they take."""
    return replace(schedule, min_s=0.0, max_s=math.inf, min_samples=calls * schedule.repeats)


def in_turns(loops: Mapping[str, Loop], schedule: Schedule, duration_ms: float) -> Ratio:
    """The first way's figure over the second's, a pair from each round; the first round warms up and does not count."""
    rounds = TURNS_A_ROUND * schedule.repeats
    calls = max(LEAST_CALLS, round(1000 * schedule.min_s / rounds / duration_ms))
    rng = np.random.default_rng(0)
    rows = {name: Row(name) for name in loops}
    for _ in range(rounds + 1):
        for index in rng.permutation(len(loops)):
            name = list(loops)[index]
            rows[name].rounds_ns.append([round(loops[name](calls))])
    for row in rows.values():
        row.rounds_ns.pop(0)
    first, second = rows.values()
    return paired_ratio(first, second)


def judged(ratios: Sequence[Ratio], overhead: Ratio, deviation: Ratio) -> dict[str, Any]:
    """The figures with their limits; fewer comparisons than `COMPARISONS` are held to the same share."""
    holding = sum(ratio.low <= 1 <= ratio.high for ratio in ratios)
    half_width = float(np.median([ratio.half_width for ratio in ratios]))
    least = HOLDING / COMPARISONS * len(ratios)
    return {
        "self_comparison": {
            "comparisons": len(ratios),
            "holding_one": holding,
            "least": least,
            "median_half_width": half_width,
            "most_half_width": HALF_WIDTH,
            "passed": holding >= least and half_width <= HALF_WIDTH,
            "ratios": [asdict(ratio) for ratio in ratios],
        },
        "overhead": {**asdict(overhead), "most": OVERHEAD, "passed": overhead.ratio - 1 <= OVERHEAD},
        "perf_test": {**asdict(deviation), "most": DEVIATION, "passed": abs(deviation.ratio - 1) <= DEVIATION},
    }


def check_text(found: Mapping[str, Any]) -> str:
    """A line for each part, with its limit and whether it is kept."""
    compared, overhead, deviation = (found[name] for name in ("self_comparison", "overhead", "perf_test"))
    lines = [
        (
            compared,
            f"{compared['holding_one']} of {compared['comparisons']} intervals of a model against itself hold 1, at "
            f"least {compared['least']:g} must; half-width {compared['median_half_width']:.2%} at the median, at most "
            f"{compared['most_half_width']:.0%}",
        ),
        (overhead, f"measuring adds {share(overhead)} to a model of 1 ms, at most {overhead['most']:.0%}"),
        (deviation, f"latency is {share(deviation)} off onnxruntime's perf test, at most {deviation['most']:.0%}"),
    ]
    return "\n".join(f"{'ok' if part['passed'] else 'FAILED':<7} {line}" for part, line in lines)


def share(ratio: Mapping[str, Any]) -> str:
    """`+0.31 % (-0.10 % to +0.70 %)` of a ratio near 1."""
    return f"{ratio['ratio'] - 1:+.2%} ({ratio['low'] - 1:+.2%} to {ratio['high'] - 1:+.2%})"
