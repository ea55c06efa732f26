"""What a stage would cost: measured once a machine, told with what is not known."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import estimate as estimating
from pipeline import recipe as recipes
from pipeline import render
from pipeline.estimate import Estimate, Last, Machine, estimates
from pipeline.facts import facts
from pipeline.graph import STAGES
from pipeline.plan import Planner
from pipeline.rehearsals import Rehearsals
from pipeline.store.store import Store

FACTS = {"cpu": "Some CPU", "torch": "2.14", "device": "cpu", "cores": 2, "gpu": False}


def rehearsals(path: Path, said: list[str], **facts: str) -> Rehearsals:
    return Rehearsals(path, {**FACTS, **facts}, said.append)


def test_a_machine_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    path = tmp_path / "cache" / "rehearsals.json"
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert rehearsals(path, said).ask("steps", {"crop": 64}, lambda: {"step_s": 0.5}) == {"step_s": 0.5}
    assert said == ["rehearses, a few seconds: steps"]
    assert rehearsals(path, said).ask("steps", {"crop": 64}, lambda: {"step_s": 9.0}) == {"step_s": 0.5}
    assert len(said) == 1
    assert rehearsals(path, said).ask("steps", {"crop": 96}, lambda: {"step_s": 1.0}) == {"step_s": 1.0}
    assert rehearsals(path, said, torch="2.15").ask("steps", {"crop": 64}, lambda: {"step_s": 2.0}) == {"step_s": 2.0}
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert rehearsals(path, said).ask("steps", {"crop": 64}, lambda: {"step_s": 3.0}) == {"step_s": 3.0}


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_cache_that_cannot_be_read_is_made_again(tmp_path: Path, content: str) -> None:
    path = tmp_path / "rehearsals.json"
    path.write_text(content)
    assert rehearsals(path, []).ask("steps", {}, lambda: {"step_s": 0.5}) == {"step_s": 0.5}
    assert rehearsals(path, []).ask("steps", {}, lambda: {}) == {"step_s": 0.5}


def test_another_code_is_measured_anew(tmp_path: Path) -> None:
    def machine(**code: str) -> Machine:
        return Machine("cpu", 2, {}, {}, rehearsals(tmp_path / "rehearsals.json", []), code)

    assert machine(a="1", b="1").ask("steps", {}, lambda: {"s": 1.0}) == {"s": 1.0}
    assert machine(a="1", b="2").ask("steps", {}, lambda: {"s": 2.0}) == {"s": 2.0}
    assert machine(a="1", b="1").ask("crops", {}, lambda: {"s": 3.0}, ["a"]) == {"s": 3.0}
    assert machine(a="1", b="2").ask("crops", {}, lambda: {"s": 4.0}, ["a"]) == {"s": 3.0}


@pytest.fixture
def planner(tmp_path: Path) -> Planner:
    return Planner(recipes.load("quickstart"), Store(tmp_path), {**facts("cpu"), "gpu": True, "tensorrt": "10.3"})


def test_what_goes_wrong_is_why_nothing_is_known(planner: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    def estimate(config: object, configs: object, machine: Machine) -> Estimate:
        if machine.device == "cpu":
            raise RuntimeError("out of memory\nmore of it")
        return Estimate(1.0)

    monkeypatch.setattr(estimating, "import_module", lambda name: SimpleNamespace(estimate=estimate))
    statuses = planner.statuses()
    found = estimates(planner, {name: statuses[name] for name in ("teacher", "export.tensorrt")}, lambda line: None)
    assert found["teacher"] == Estimate(why="out of memory")
    assert found["export.tensorrt"] == Estimate(why="nothing measures it short of doing it")


def test_every_stage_but_one_has_an_estimator() -> None:
    assert [stage.name for stage in STAGES if not stage.estimator] == ["export.tensorrt"]


def test_the_sums_and_what_is_not_known() -> None:
    known = Estimate(90.0, 512.0, 2048, 4096)
    costs = {"data": known, "teacher": Estimate(30.0, 1024.0, 1024, 8192), "bench": Estimate(why="no reason")}
    last = {"data": Last(60.0, 1024, "quickstart", "d"), "teacher": None, "bench": None}
    assert list(render.totals(costs, last)) == [
        "in all about 2 min 00 s, at most 1.0 GiB of memory, 3.0 KiB of disk and for a while 8.0 KiB for checkpoints",
        "the last time 1 min 00 s and 1.0 KiB",
        "bench: not estimated: no reason",
    ]
    assert render.expected(known) == ("~1 min 30 s", "~512.0 MiB", "~2.0 KiB")
    assert render.expected(costs["bench"]) == render.expected(None) == ("-", "-", "-")
    assert list(render.totals({}, {})) == ["nothing would run"]
