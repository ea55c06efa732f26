"""`report`, as a user calls it on a tiny finished run."""

import json
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
