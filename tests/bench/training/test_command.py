"""The benchmark of training at a size that says nothing of time: what is compared is alike, the report is complete."""

import json
import math
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from bench.data import Pictured, synthetic
from bench.training import command
from bench.training.candidates import FLOOR, FLOOR_AND_STEP, OURS, PLAIN, SIZES, Size, Task, Training, pair
from bench.training.plain import cross_entropy
from bench.turns.timing import Row
from stages.losses.supervised import supervised

NARROW = ("teacher.args={ width = 0.125 }", "distill.student.args={ width = 0.125 }")
TINY = Size("camvid-cpu", 3.0, 5, (*pair("pspnet_resnet18", "pspnet_resnet18", 64, 2), *NARROW))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Pictured:
    return synthetic(tmp_path_factory.mktemp("scenes"), 4, (72, 96))


def made(files: Pictured, task: Task, folder: Path, closing: ExitStack, method: str = "idd") -> Training:
    return Training(TINY, task, method, files, "cpu", folder, closing)


def test_the_sizes_are_those_that_are_quoted() -> None:
    student, configs = SIZES["camvid-cpu"].configs("idd")
    assert (student.net, student.args) == ("pspnet_resnet18", {"width": 0.25})
    assert {(c.batch, c.crop_px) for c in configs.values()} == {(8, (256, 256))}
    student, configs = SIZES["r101"].configs("idd")
    assert (student.net, student.args) == ("pspnet_resnet18", {})
    assert configs["teacher"].net == "pspnet_resnet101"  # type: ignore[attr-defined]
    assert {(c.batch, c.crop_px) for c in configs.values()} == {(2, (256, 256))}


def test_every_candidate_trains_what_it_should(files: Pictured, tmp_path: Path) -> None:
    with ExitStack() as closing:
        each = made(files, "distill", tmp_path, closing, "idd-published")
        assert "holistic" in each.terms
        loads = each.loads()
        assert set(loads) == {OURS, FLOOR, FLOOR_AND_STEP, PLAIN}
        for load in loads.values():
            step = load()
            step()
            step()


def test_the_plain_loop_has_the_same_terms(files: Pictured, tmp_path: Path) -> None:
    with ExitStack() as closing:
        each = made(files, "distill", tmp_path, closing)
        shown = each.plain_training().step()
        assert set(shown) == set(each.terms)
        assert all(math.isfinite(value) for value in shown.values())


def test_the_plain_cross_entropy_is_ours() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 5, 6, 7), torch.randint(0, 5, (2, 24, 28))
    labels[0, :5] = 255
    torch.testing.assert_close(cross_entropy(logits, labels), supervised(logits, labels))


def test_a_ratio_above_1_says_that_ours_is_faster() -> None:
    rows = {
        name: Row(name, rounds_ns=[[ms * 1_000_000] * 3] * 3)
        for name, ms in ((OURS, 10), (FLOOR, 8), (FLOOR_AND_STEP, 9), (PLAIN, 40))
    }
    floor, with_step, plain = command.ratios(rows, plain_target=3.0)
    assert (floor["ours_over"], floor["ratio"], floor["target"], floor["met"]) == (FLOOR, 0.8, 0.9, False)
    assert (with_step["ratio"], with_step["target"], with_step["met"]) == (0.9, None, None)
    assert (plain["ours_over"], plain["ratio"], plain["target"], plain["met"]) == (PLAIN, 4.0, 3.0, True)


def test_memory_is_not_to_be_higher() -> None:
    found = command.memory({OURS: {"peak_mib": 300.0}, PLAIN: {"peak_mib": 200.0}})
    assert (found["ours_over_plain"], found["met"]) == (1.5, False)
    assert command.memory_line(found) == "peak memory: ours 300 MiB, plain 200 MiB: 1.50, wanted at most 1: MISSED"


def test_the_last_line_is_one_document(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(command.SIZES, "camvid-cpu", TINY)
    monkeypatch.setattr(command, "TASKS", ("distill",))
    monkeypatch.setattr(command, "IMAGE_PX", (72, 96))
    assert command.main(["--size", "camvid-cpu", "--quick", "--json"]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["environment"]["cpu"]["threads"] == torch.get_num_threads()
    (size,) = document["sizes"]
    assert (size["teacher"], size["student"]) == ("pspnet_resnet18 width=0.125", "pspnet_resnet18 width=0.125")
    (task,) = size["tasks"]
    assert [row["name"] for row in task["rows"]] == [OURS, FLOOR, FLOOR_AND_STEP, PLAIN]
    for row in task["rows"]:
        assert row["step_ms"]["n"] == 3
        assert row["images_per_s"] == pytest.approx(2000 / row["step_ms"]["p50_ms"])
    assert [ratio["ours_over"] for ratio in task["ratios"]] == [FLOOR, FLOOR_AND_STEP, PLAIN]
    assert task["memory"][OURS]["peak_mib"] > task["memory"][OURS]["before_mib"]
    text = command.table(document["sizes"], document["environment"])
    assert "ours over it" in text and "wanted at least 0.9" in text and "peak memory: ours" in text


def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--data", "/nowhere", "--quick"]) == 2
    assert "no folder /nowhere" in capsys.readouterr().err
    assert command.main(["--size", "huge"]) == 2
    assert "camvid-cpu" in capsys.readouterr().err
