"""What rank 0 asks of the others, and which failure it ends with."""

from pathlib import Path

import pytest

from pipeline.errors import DataError, RankError, StoreError, TrainingError
from pipeline.group import lead
from pipeline.group.channel import FAILED, answer_name
from pipeline.group.ranks import Group
from pipeline.signals import Terminated


@pytest.fixture
def three(memory, monkeypatch: pytest.MonkeyPatch):
    """Rank 0 of three processes over a channel in memory."""
    monkeypatch.setattr(lead, "started", lambda: Group(world=3))
    monkeypatch.setattr(lead, "connect", lambda: memory)
    monkeypatch.setattr(lead, "ignore_sigterm", lambda: None)
    lead.crew.cache_clear()
    yield memory
    lead.crew.cache_clear()


def test_a_machine_without_the_home_stops_the_run(three, tmp_path: Path) -> None:
    three.write(answer_name(1, 1), "")
    three.write(answer_name(1, 2), "rank 2 on b does not see the home /x")
    with pytest.raises(StoreError, match="rank 2 on b does not see the home /x: all processes need one home"):
        lead.look_together(tmp_path, {"data.root": None})
    assert list((tmp_path / "cache").iterdir()) == [], "the token is gone"


def test_where_all_see_all_nothing_is_said(three, tmp_path: Path) -> None:
    for rank in (1, 2):
        three.write(answer_name(1, rank), "")
    lead.look_together(tmp_path, {"data.root": tmp_path})
    assert f'"data.root": "{tmp_path}"' in three.read("order 1")


def test_its_own_failure_comes_first_where_nobody_else_failed(three) -> None:
    own = DataError("no file")
    assert lead.first_failure(three, own) is own
    assert three.read(FAILED) == "rank 0", "the others keep quiet"


@pytest.mark.parametrize("seen", [Terminated(), RuntimeError("gloo/transport: Connection closed by peer")])
def test_the_failure_of_another_ends_it(three, seen: BaseException) -> None:
    three.write(FAILED, "rank 2 on b: no file")
    first = lead.first_failure(three, seen)
    assert isinstance(first, RankError) and str(first) == "rank 2 on b: no file"


def test_one_that_was_killed_is_told(three) -> None:
    first = lead.first_failure(three, RuntimeError("gloo/transport: Connection closed by peer"))
    assert isinstance(first, TrainingError) and "ended without a word" in str(first)
