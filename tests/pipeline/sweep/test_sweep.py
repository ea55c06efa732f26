"""`sweep` as a user calls it: what is shared, what fails alone, what is done again, what it leaves behind."""

import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

CELLS = [f"{row}-seed{seed}" for row in ("none", "idd", "broken") for seed in (0, 1)]


def lines(done) -> dict[str, dict]:
    return {line["row"]: line for line in json.loads(done.stdout)["lines"]}


def trained(done) -> int:
    """In how many cells a call began to train a student."""
    cells = re.split(r"^sweep: cell \d+ of \d+: ", done.stderr, flags=re.MULTILINE)[1:]
    return sum("\ndistill: " in cell for cell in cells)


def test_a_failed_cell_stops_no_other_and_the_exit_code_says_so(swept) -> None:
    assert swept.first.returncode == 1, swept.first.stderr
    records = {r["cell"]: r for r in json.loads(swept.first.stdout)["records"]}
    assert list(records) == CELLS
    assert [name for name, r in records.items() if r["error"]] == ["broken-seed0", "broken-seed1"]
    assert "at least 2 images" in records["broken-seed0"]["error"]
    assert "Traceback" not in swept.first.stderr


def test_the_table_tells_score_and_cost_of_each_row(swept) -> None:
    found = lines(swept.first)
    none, idd = found["none"], found["idd"]
    scores = json.loads(swept.first.stdout)
    assert scores["split"] == "test"
    assert none["miou"]["n"] == idd["miou"]["n"] == 2 and found["broken"]["miou"] is None
    pairs = [idd["values"][seed] - none["values"][seed] for seed in ("0", "1")]
    assert abs(idd["difference"]["mean"] - sum(pairs) / 2) < 1e-12
    assert idd["iterations"] == 3 and 700_000 < idd["parameters"] == none["parameters"] < 900_000
    assert 0 < none["seconds_per_iteration"] < 30 and none["training_seconds"] > 0


def test_upstream_is_shared_and_no_cell_trains_what_it_does_not_need(swept) -> None:
    made = {r["cell"]: r["artifacts"] for r in json.loads(swept.first.stdout)["records"]}
    assert set(made["none-seed0"]) == {"data", "distill"} and set(made["broken-seed1"]) == {"data"}
    assert set(made["idd-seed0"]) == {"data", "teacher", "position", "distill"}
    assert made["idd-seed0"]["teacher"] == made["idd-seed1"]["teacher"]
    assert len({artifacts["distill"] for artifacts in made.values() if "distill" in artifacts}) == 4
    assert len(list(swept.home.glob("store/teacher/*/*/manifest.json"))) == 1


def test_a_second_call_trains_nothing_but_tries_what_failed(swept) -> None:
    done = swept.again()
    assert done.returncode == 1
    assert json.loads(done.stdout)["lines"] == json.loads(swept.first.stdout)["lines"]
    assert trained(done) == 2, done.stderr
    assert "teacher: " not in done.stderr


def test_it_leaves_results_a_picture_and_pointers(swept, pipeline) -> None:
    folder = swept.home / "sweeps" / "tiny"
    assert {p.name for p in folder.iterdir()} == {"sweep.json", "cells", "results.json", "results.md", "results.png"}
    assert json.loads((folder / "results.json").read_text())["lines"] == json.loads(swept.first.stdout)["lines"]
    assert "| idd | 2 |" in (folder / "results.md").read_text()
    with Image.open(folder / "results.png") as picture:
        assert picture.width > 600 and len(np.unique(np.asarray(picture))) > 10
    assert sorted(p.stem for p in (folder / "cells").iterdir()) == sorted(CELLS[:4])
    shown = json.loads(pipeline("show", swept.home, "tiny/idd-seed1", "--json").stdout)
    record = {r["cell"]: r for r in json.loads(swept.first.stdout)["records"]}["idd-seed1"]
    assert f"{shown['key']}/{shown['digest']}" == record["artifacts"]["distill"]


def test_dry_run_names_what_cells_share_and_runs_nothing(swept, pipeline, tmp_path: Path) -> None:
    done = pipeline("sweep", tmp_path, "--axis", "distill.method=none,idd", "--seeds", "2", "--dry-run", "--json")
    rows = {row["cell"]: row["stages"] for row in json.loads(done.stdout)}
    assert rows["none-seed1"] == {"data": "as none-seed0", "distill": "run"}
    assert rows["idd-seed0"]["teacher"] == "run" and rows["idd-seed1"]["teacher"] == "as idd-seed0"
    assert not (tmp_path / "store").exists() and not (tmp_path / "sweeps").exists()
    done = swept.again("--dry-run")
    rows = {row["cell"]: row["stages"] for row in json.loads(done.stdout)}
    assert rows["idd-seed0"] == dict.fromkeys(("data", "teacher", "position", "distill"), "current")


def test_a_sweep_grows_and_shrinks_but_does_not_become_another(swept, pipeline) -> None:
    def run(seeds: str, **changes: str):
        words = ("--axis", "distill.method=none", "--seeds", seeds, "--name", "growing", "--json")
        return pipeline("sweep", swept.home, *words, bench__baseline="false", **changes)

    two = run("2")
    assert lines(two)["none"]["values"] == lines(swept.first)["none"]["values"] and trained(two) == 0
    other = run("2", distill__lr="0.01")
    assert other.returncode == 2 and "exists and differs in its settings: give --name" in other.stderr
    assert lines(run("1"))["none"]["miou"]["n"] == 1
    assert not (swept.home / "sweeps" / "growing" / "cells" / "none-seed1.json").exists()
    assert not (swept.home / "last" / "growing.none-seed1").exists()
    assert lines(run("2")) == lines(two)


EQUAL = """
[sweep]
equal_time = true
calibration_iterations = 22

[[sweep.axes]]
field = "distill.method"
values = ["none", "idd"]
"""


def test_equal_time_measures_once_and_trains_each_row_as_long(swept, pipeline, tmp_path: Path) -> None:
    (tmp_path / "equal.toml").write_text(EQUAL)

    def run():
        return pipeline("sweep", swept.home, str(tmp_path / "equal.toml"), "--json", bench__baseline="false")

    first = run()
    assert first.returncode == 0, first.stderr
    kept = json.loads((swept.home / "sweeps" / "equal" / "sweep.json").read_text())["equal_time"]
    seconds = {row: each["seconds_per_iteration"] for row, each in kept.items()}
    slowest = max(seconds, key=lambda row: seconds[row])
    for row, line in lines(first).items():
        assert line["iterations"] == kept[row]["iterations"] == max(1, round(3 * seconds[slowest] / seconds[row]))
    assert "Equal wall clock" in (swept.home / "sweeps" / "equal" / "results.md").read_text()
    second = run()
    assert "s per iteration" not in second.stderr and trained(second) == 0
    assert lines(second) == lines(first)
    assert not list((swept.home / "work").iterdir())


def test_mistakes_are_one_line_before_anything_runs(pipeline, tmp_path: Path) -> None:
    for words, message in [
        ((), "give --axis or --seeds"),
        (("--axis", "distill.metod=none,idd"), "did you mean 'method'"),
        (("--axis", "distill.method=none,id"), "did you mean 'idd'"),
        (("--axis", "distill.method=none,idd", "--baseline", "non"), "did you mean 'none'"),
        (("--axis", "distill.iterations=3,4", "--equal-time"), "drop one of them"),
        (("--seeds", "2", "--name", "a/b"), "--name a/b"),
        (("quickstart-methods", "--recipe", "camvid-cpu"), "names its recipe"),
    ]:
        done = pipeline("sweep", tmp_path, *words)
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert done.returncode == 2 and len(errors) == 1 and message in errors[0], done.stderr
    assert not (tmp_path / "store").exists()
