"""The benchmark of the losses at a size that says nothing of time, and what it compares."""

import json

import pytest
import torch

from bench.losses import command as losses
from bench.losses.steps import (
    COMPOSED,
    DENSE,
    FLOOR,
    IDD,
    SIZES,
    TOKENS,
    Net,
    Size,
    Steps,
    dense_tokens,
    measured_terms,
)
from bench.turns.timing import Row, Schedule
from stages.losses.tokens import class_tokens
from stages.nets.shapes import MapShape

NARROW = Net("pspnet_resnet18", {"width": 0.125})
TINY = Size(2, 5, (64, 96), NARROW, NARROW)
QUICK = Schedule(warmup_s=0.0, min_s=0.003, max_s=0.01, min_samples=1, repeats=3)


def test_dense_tokens_are_the_same_tokens() -> None:
    torch.manual_seed(0)
    features, labels = torch.randn(2, 6, 5, 7), torch.randint(0, 4, (2, 5, 7))
    labels[1][labels[1] == 2] = 255
    for found, expected in zip(dense_tokens(features, labels, 4), class_tokens(features, labels, 4), strict=True):
        torch.testing.assert_close(found, expected)


def test_paper_size_is_the_papers() -> None:
    size = SIZES["paper"]
    assert (size.batch, size.classes, size.crop_px) == (8, 19, (512, 512))
    assert (size.teacher.name, size.student.name) == ("pspnet_resnet101", "pspnet_resnet18")


def test_a_step_of_terms_leaves_no_gradient_behind() -> None:
    steps = Steps(TINY, "cpu", floor_batch=2)
    assert steps.student_shapes["pyramid"] == MapShape(16, 9, 13)
    for candidate in steps.candidates():
        candidate.load()()
        assert all(map_NChw.grad is None for map_NChw in steps.student.values()), candidate.name


def test_the_last_line_is_one_document(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(losses, "SIZES", {**SIZES, "quickstart": TINY})
    monkeypatch.setattr(losses, "SCHEDULE", QUICK)
    assert losses.main(["--size", "quickstart", "--json"]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["environment"]["cpu"]["threads"] == torch.get_num_threads()
    (size,) = document["sizes"]
    rows = {row["name"]: row for row in size["rows"]}
    assert set(rows) == {FLOOR, *measured_terms(), COMPOSED, IDD, TOKENS, DENSE}
    assert [row["name"] for row in rows.values() if row["status"] != "ok"] == []
    assert rows[FLOOR]["share_of_floor"] == pytest.approx(1)
    for row in rows.values():
        assert row["p50_ms"] > 0 and row["n"] >= 3 and row["share_of_floor"] > 0 and row["peak_mib"] > 0
    assert rows[COMPOSED]["peak_mib"] > rows["supervised"]["peak_mib"]
    assert rows[DENSE]["peak_mib"] > rows[TOKENS]["peak_mib"]
    assert [(ratio["numerator"], ratio["denominator"]) for ratio in size["ratios"]] == [
        (DENSE, TOKENS),
        (COMPOSED, "supervised"),
    ]
    assert losses.table(document["sizes"], document["environment"]).count("\n") > len(rows)


def test_a_floor_at_a_smaller_batch_is_scaled() -> None:
    measured = Row(FLOOR, rounds_ns=[[2_000_000], [4_000_000], [3_000_000]], wall_ns=9_000_000)
    row = losses.row_of(measured, scale=4.0, floor_ms=12.0, peak_mib=None)
    assert (row["p50_ms"], row["min_ms"], row["share_of_floor"], row["n"]) == (12.0, 8.0, 1.0, 3)


def test_a_candidate_that_fails_is_named_with_its_reason() -> None:
    row = losses.row_of(Row("kd", status="failed", why="RuntimeError: no memory"), 1.0, 12.0, None)
    assert row == {"name": "kd", "status": "failed", "why": "RuntimeError: no memory"}


def test_no_gpu_is_a_mistake_of_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert losses.main(["--device", "cuda"]) == 2
    assert "torch sees no GPU" in capsys.readouterr().err
