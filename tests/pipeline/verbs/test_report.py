"""`report`, as a user calls it on a tiny finished run."""

import json
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

Done = CompletedProcess[str]


@pytest.fixture
def home(finished: tuple[Path, Done]) -> Path:
    return finished[0]


def answer(done: Done) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_without_options_it_says_what_was_found_and_where(pipeline: Any, home: Path) -> None:
    done = pipeline("report", home)
    assert done.returncode == 0, done.stderr
    summary, where = done.stdout.splitlines()
    assert "fewer parameters" in summary
    assert (Path(where.removeprefix("report: ")) / "report.html").is_file()


def test_the_best_under_a_budget(pipeline: Any, home: Path) -> None:
    found = answer(pipeline("report", home, "--budget", "latency_ms=100000", "--json"))["budget"]
    (here,) = found["machines"]
    assert found["limits"] == {"latency_ms": 100000.0}
    assert here["fit"] == here["candidates"] > 0
    assert here["best"]["role"] == "student"
    none = pipeline("report", home, "--budget", "latency_ms=0.000001")
    assert "fits" in none.stdout


def test_a_report_is_written_again_and_compared_with_itself(pipeline: Any, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = answer(pipeline("report", home, "--out", str(out), "--json"))["written"]
    assert sorted(Path(name).name for name in written) == ["report.html", "report.json", "report.md"]
    compared = answer(pipeline("report", home, "--compare", str(out), "--json"))["comparison"]
    assert compared["machines"]["same"]
    assert compared["figures"] == compared["environment"] == []
    text = pipeline("report", home, "--compare", "bench", str(out)).stdout
    assert f"# {out} against bench" in text


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--budget", "speed=3"), "cannot limit 'speed'"),
        (("--compare", "absent.json"), "no file absent.json"),
        (("--compare", "teacher"), "report.json cannot be read as a report"),
    ],
)
def test_a_user_s_mistake_is_one_line(pipeline: Any, home: Path, arguments: tuple[str, ...], why: str) -> None:
    done = pipeline("report", home, *arguments)
    assert done.returncode == 2
    assert why in done.stderr.splitlines()[-1]


def test_adding_needs_a_place_to_write(pipeline: Any, home: Path, tmp_path: Path) -> None:
    (tmp_path / "board.json").write_text("{}")
    done = pipeline("report", home, "--add", str(tmp_path / "board.json"))
    assert (done.returncode, "--out FOLDER" in done.stderr) == (2, True)


def test_the_gate_holds_a_report_to_an_earlier_one(pipeline: Any, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert pipeline("report", home, "--out", str(out)).returncode == 0
    words = pipeline.words("check", home, "--against", str(out))
    command = [sys.executable, "-m", "pipeline", "bench", *words]
    passed = subprocess.run(command, cwd=pipeline.root, capture_output=True, text=True, timeout=600)
    assert answer(passed)["passed"] is True
    faster = json.loads((out / "report.json").read_text(encoding="utf-8"))
    for row in faster["latency"]["rows"]:
        row["rounds_ms"] = [[sample / 50 for sample in samples] for samples in row["rounds_ms"]]
    (out / "report.json").write_text(json.dumps(faster), encoding="utf-8")
    failed = subprocess.run(command, cwd=pipeline.root, capture_output=True, text=True, timeout=600)
    assert failed.returncode == 1
    assert json.loads(failed.stdout.splitlines()[-1])["passed"] is False
