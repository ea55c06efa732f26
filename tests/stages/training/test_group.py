"""Two processes train as one does at the same global batch; an interrupted pair goes on as if it had not been."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.losses.methods import KINDS

TOLERANCE = 1e-5
NOT_TERMS = {"iteration", "seconds", "term_seconds", "gradient_at", "gradient_norm", "gradient_share"}


@pytest.fixture(scope="module")
def pair(script: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of what two processes trained."""
    folder = tmp_path_factory.mktemp("pair")
    script("trained_in_a_group.py", folder, "equal", "in_parts", "resumed", "stopped", processes=2)
    return folder


@pytest.fixture(scope="module")
def single(script: Any, pair: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of what one process trained, and took up from the pair."""
    folder = tmp_path_factory.mktemp("single")
    (pair / "left").rename(folder / "left")
    script("trained_in_a_group.py", folder, "equal", "in_parts", "taken_up", processes=1)
    return folder


def history(folder: Path, name: str, rank: int = 0) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((folder / f"{name}-{rank}.json").read_text())
    return rows


def state(folder: Path, name: str, rank: int = 0) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = torch.load(folder / f"{name}-{rank}.pt", weights_only=True)
    return tensors


def values(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in NOT_TERMS}


def test_every_term_equals_one_processs_over_twenty_steps(pair: Path, single: Path) -> None:
    two, one = history(pair, "equal"), history(single, "equal")
    assert len(two) == len(one) == 20
    assert set(KINDS) | {"total", "holistic_critic"} <= set(values(one[0]))
    for ours, theirs in zip(two, one, strict=True):
        assert values(ours) == pytest.approx(values(theirs), rel=TOLERANCE, abs=TOLERANCE)
    assert values(one[0]) != pytest.approx(values(one[19]), rel=1e-2), "something was learnt in between"


def test_the_gradient_of_every_term_is_the_batchs(pair: Path, single: Path) -> None:
    ours, theirs = history(pair, "equal")[0], history(single, "equal")[0]
    assert ours["gradient_norm"] == pytest.approx(theirs["gradient_norm"], rel=TOLERANCE)


def test_weights_end_equal(pair: Path, single: Path) -> None:
    two, other, one = state(pair, "equal"), state(pair, "equal", 1), state(single, "equal")
    assert all(torch.equal(two[name], other[name]) for name in two)
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=TOLERANCE, atol=TOLERANCE)


def test_shares_in_parts_with_clipping_and_averaged_weights(pair: Path, single: Path) -> None:
    for ours, theirs in zip(history(pair, "in_parts"), history(single, "in_parts"), strict=True):
        assert values(ours) == pytest.approx(values(theirs), rel=TOLERANCE, abs=TOLERANCE)
    two, one = state(pair, "in_parts"), state(single, "in_parts")
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=TOLERANCE, atol=TOLERANCE)


def test_a_stop_of_one_process_stops_all_after_the_same_step(pair: Path) -> None:
    whole, stopped = state(pair, "whole"), state(pair, "stopped")
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    assert [values(row) for row in history(pair, "stopped")] == [values(row) for row in history(pair, "whole")]


def test_a_resumed_pair_equals_an_uninterrupted_one(pair: Path) -> None:
    for rank in (0, 1):
        whole, parts = state(pair, "whole", rank), state(pair, "parts", rank)
        assert all(torch.equal(whole[name], parts[name]) for name in whole)
        assert [values(r) for r in history(pair, "whole", rank)] == [values(r) for r in history(pair, "parts", rank)]


def test_each_process_draws_its_own_dropout_and_all_end_with_one_network(pair: Path) -> None:
    saved = torch.load(pair / "whole" / "student.pt", weights_only=True)
    assert saved["generators"]["cpu"].shape[0] == 2
    assert not torch.equal(*saved["generators"]["cpu"])
    ours, theirs = state(pair, "whole"), state(pair, "whole", 1)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_another_number_of_processes_takes_up_a_checkpoint_and_says_what_differs(pair: Path, single: Path) -> None:
    log = (single / "log.txt").read_text()
    assert "the checkpoint is of 2 processes and these are 1: weights and images go on as they were" in log
    assert "student: resumed at iteration 4 of 10" in log
    rows = history(single, "left")
    assert [values(r) for r in rows[:4]] == [values(r) for r in history(pair, "whole")[:4]]
    assert [row["iteration"] for row in rows] == list(range(10))
