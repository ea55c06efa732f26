"""Ratios between two reports, and the gate on them."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.check import judge, main
from bench.report.slowdown import slowdown, slowdowns
from pipeline.errors import StoreError


def noisy(median_ms: float, spread: float, seed: int, rounds: int = 5, n: int = 60) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    return [(median_ms * (1 + spread * rng.standard_normal(n))).tolist() for _ in range(rounds)]


def slower(report: dict[str, Any], factor: float) -> dict[str, Any]:
    changed = copy.deepcopy(report)
    for row in changed["latency"]["rows"]:
        row["rounds_ms"] = [[factor * sample for sample in samples] for samples in row["rounds_ms"]]
    return changed


def test_constant_samples_have_an_exact_ratio() -> None:
    found = slowdown("a", [[6.0] * 5] * 3, [[4.0] * 4] * 5)
    assert (found.then_ms, found.now_ms) == (4.0, 6.0)
    assert (found.ratio, found.low, found.high) == (1.5, 1.5, 1.5)


def test_the_interval_holds_the_true_ratio_and_narrows_with_the_spread() -> None:
    wide, narrow = (slowdown("a", noisy(5.5, s, 1), noisy(5.0, s, 2)) for s in (0.1, 0.01))
    assert wide.low < 1.1 < wide.high
    assert narrow.low < 1.1 < narrow.high
    assert narrow.high - narrow.low < 0.3 * (wide.high - wide.low)


def test_one_slow_round_of_five_is_no_slowdown() -> None:
    now = noisy(5.0, 0.01, 3)
    now[2] = [2 * sample for sample in now[2]]
    found = slowdown("a", now, noisy(5.0, 0.01, 4))
    assert found.low < 1.02
    assert found.ratio < 1.02


def test_rows_are_matched_by_how_they_were_measured(report: dict[str, Any]) -> None:
    other = copy.deepcopy(report)
    other["environment"]["cpu"]["threads"] = 1
    found, apart = slowdowns(report, other)
    assert found == []
    assert any("no such row at this batch, size, device and threads" in why for why in apart)
    found, apart = slowdowns(report, report)
    assert len(found) == 5
    assert apart == ["student tensorrt: skipped (no GPU here)"]


def test_a_row_that_failed_in_the_other_report_is_not_said_to_be_absent(report: dict[str, Any]) -> None:
    other = copy.deepcopy(report)
    other["latency"]["rows"][0] |= {"status": "failed", "why": "no kernel"}
    found, apart = slowdowns(report, other)
    assert len(found) == 4
    assert apart == [
        "teacher torch: failed in the other report (no kernel)",
        "student tensorrt: skipped (no GPU here)",
    ]


def test_further_batches_and_sizes_are_held_too(report: dict[str, Any]) -> None:
    rows = copy.deepcopy(report["latency"]["rows"][:1])
    report["latency"]["more"] = [{"batch": 4, "size_px": [32, 64], "rows": rows, "ratios": []}]
    later = copy.deepcopy(report)
    later["latency"]["more"][0]["rows"] = slower({"latency": {"rows": rows}}, 2.0)["latency"]["rows"]
    result = judge(later, report, 1.1)
    assert not result["passed"] and len(result["rows"]) == 6
    (slow,) = [row for row in result["rows"] if row["verdict"] == "slower"]
    assert slow["name"] == "teacher torch, batch 4 at 32x64"


@pytest.mark.parametrize(("factor", "passed"), [(1.0, True), (1.08, True), (1.2, False), (0.5, True)])
def test_the_gate(report: dict[str, Any], factor: float, passed: bool) -> None:
    result = judge(slower(report, factor), report, max_slowdown=1.1)
    assert result["passed"] is passed
    assert {row["verdict"] for row in result["rows"]} == {"ok" if passed else "slower"}


def test_noise_is_unclear_and_no_regression(report: dict[str, Any]) -> None:
    report["latency"]["rows"] = report["latency"]["rows"][:1]
    other = copy.deepcopy(report)
    report["latency"]["rows"][0]["rounds_ms"] = noisy(44.0, 0.5, 5)
    other["latency"]["rows"][0]["rounds_ms"] = noisy(40.0, 0.5, 6)
    result = judge(report, other, 1.1)
    assert (result["passed"], result["rows"][0]["verdict"]) == (True, "unclear")


def test_another_machine_is_refused_unless_allowed(report: dict[str, Any]) -> None:
    other = copy.deepcopy(report)
    other["environment"]["cpu"]["model"] = "Other CPU"
    with pytest.raises(StoreError, match=r"measured on Some CPU \(2 cores\), the other report on Other CPU"):
        judge(report, other, 1.1)
    assert judge(report, other, 1.1, allow_other_machine=True)["passed"]


def test_nothing_in_common_is_refused(report: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match=r"no row was measured alike .* no such row at .*; 3 more$"):
        judge(report, {**report, "latency": {**report["latency"], "rows": []}}, 1.1)


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (1.5, 1)])
def test_exit_codes_and_the_last_line(
    report: dict[str, Any], factor: float, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now, then = tmp_path / "now.json", tmp_path / "then.json"
    now.write_text(json.dumps(slower(report, factor)))
    then.write_text(json.dumps(report))
    assert main([str(now), "--against", str(then)]) == code
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["passed"] is (code == 0)
    assert "student torch: 12.000 -> " in err


def test_a_user_s_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "no.json").write_text("{}")
    assert main([str(tmp_path / "no.json"), "--against", str(tmp_path / "no.json")]) == 2
    assert main(["--against", str(tmp_path / "absent.json")]) == 2
    assert capsys.readouterr().err.count("error:") == 2
