"""The program's own precision: its verdicts by hand, once through at small size, and in full where asked for."""

import json
from pathlib import Path

import onnx
import pytest

from bench.latency.command import main
from bench.latency.convolutions import convolutions, images
from bench.latency.precision import check, check_text, judged
from bench.turns.ratio import Ratio
from bench.turns.timing import Schedule
from export.runtimes.onnx_runtime import OnnxRuntime

GOOD, NARROW = Ratio("a", "b", 1.0, 0.99, 1.01, 0.95, 20), Ratio("a", "b", 1.03, 1.01, 1.05, 0.95, 20)


def passed(ratios: list[Ratio], overhead: float = 1.0, deviation: float = 1.0) -> list[bool]:
    of = [Ratio("a", "b", value, value, value, 0.95, 20) for value in (overhead, deviation)]
    return [part["passed"] for part in judged(ratios, *of).values()]


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([GOOD] * 17 + [NARROW] * 3, True),
        ([GOOD] * 16 + [NARROW] * 4, False),
        ([Ratio("a", "b", 1.0, 0.96, 1.04, 0.95, 20)] * 20, False),
        ([GOOD] * 11 + [Ratio("a", "b", 1.0, 0.5, 2.0, 0.95, 20)] * 9, True),
    ],
)
def test_self_comparisons(ratios: list[Ratio], verdict: bool) -> None:
    """17 of 20 must hold 1, and the median half-width be at most 3 %."""
    assert passed(ratios)[0] is verdict


@pytest.mark.parametrize(("overhead", "verdict"), [(1.019, True), (1.021, False), (0.9, True)])
def test_overhead(overhead: float, verdict: bool) -> None:
    assert passed([GOOD], overhead=overhead)[1] is verdict


@pytest.mark.parametrize(("deviation", "verdict"), [(1.029, True), (0.971, True), (1.031, False), (0.969, False)])
def test_deviation_from_the_perf_test(deviation: float, verdict: bool) -> None:
    assert passed([GOOD], deviation=deviation)[2] is verdict


def test_the_models_are_valid_and_run(tmp_path: Path) -> None:
    onnx.checker.check_model(onnx.load_from_string(convolutions(3)), full_check=True)
    (tmp_path / "chain.onnx").write_bytes(convolutions(2))
    with OnnxRuntime(tmp_path / "chain.onnx", threads=1) as runtime:
        (result,) = runtime.run(images())
    assert result.shape == (1, 16, 64, 128)
    assert result.std() > 0


def test_once_through() -> None:
    """Whatever this machine is busy with: the figures are there; whether they are good enough is for an idle one."""
    lines: list[str] = []
    schedule = Schedule(warmup_s=0.02, min_s=0.1, max_s=1, min_samples=6, repeats=6)
    found = check(1, schedule, lines.append, comparisons=2)
    compared = found["self_comparison"]
    assert (compared["comparisons"], compared["least"], len(compared["ratios"])) == (2, 1.7, 2)
    assert found["overhead"]["rounds"] == found["perf_test"]["rounds"] == 60
    assert 0.5 < found["perf_test"]["ratio"] < 2
    assert found["passed"] == all(found[part]["passed"] for part in ("self_comparison", "overhead", "perf_test"))
    assert check_text(found).count("\n") == 2
    assert any("self-comparison 2" in line for line in lines)


@pytest.mark.slow
def test_the_program_is_as_exact_as_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Needs a machine with nothing else to do."""
    code = main(["--self-check"])
    out = capsys.readouterr().out
    assert code == 0, out
    assert json.loads(out.splitlines()[-1])["passed"]
