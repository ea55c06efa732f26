"""What torchrun's environment tells of the processes."""

import pytest

from pipeline.group.ranks import ALONE, STARTED, Group, started

ENVIRONMENT = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "GROUP_WORLD_SIZE": "2",
}


def test_a_process_that_torchrun_did_not_start_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a scheduler sets for its own purposes counts for nothing.
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(STARTED, raising=False)
    assert started() == ALONE and ALONE.leads


def test_ranks_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENVIRONMENT, STARTED: "run"}.items():
        monkeypatch.setenv(name, value)
    assert started() == Group(rank=5, world=8, local_rank=1, local_world=4, nodes=2)
    assert not started().leads


def test_shares_are_the_batch_in_order() -> None:
    positions = range(20, 32)
    shares = [positions[Group(rank, 4).share(12)] for rank in range(4)]
    assert [list(share) for share in shares] == [[20, 21, 22], [23, 24, 25], [26, 27, 28], [29, 30, 31]]
    assert list(positions[ALONE.share(12)]) == list(positions)


def test_only_run_is_for_several_processes(call, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENVIRONMENT, "RANK": "0", STARTED: "run"}.items():
        monkeypatch.setenv(name, value)
    code, out, err = call("status", "--home", tmp_path)
    wanted = "error: torchrun starts 8 processes, and status is the work of one: start it as python -m pipeline status"
    assert (code, out, err) == (2, "", f"{wanted}\n")
