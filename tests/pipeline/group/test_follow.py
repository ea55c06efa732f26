"""What the processes other than rank 0 see, do and say."""

from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.group import follow
from pipeline.group.channel import FAILED
from pipeline.group.ranks import Group

SECOND = Group(rank=1, world=2)


def test_a_home_that_is_not_shared_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "SEEN_WITHIN_S", 0.1)
    token = tmp_path / "elsewhere" / "token"
    told = follow.unseen(SECOND, str(token), "/home/of/rank0", {})
    assert told.startswith("rank 1 on ") and told.endswith("does not see the home /home/of/rank0")


def test_a_data_root_that_is_not_shared_is_told(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch()
    folders = {"data.root": str(tmp_path), "other.root": None}
    assert follow.unseen(SECOND, str(token), "home", folders) == ""
    told = follow.unseen(SECOND, str(token), "home", {"data.root": str(tmp_path / "absent")})
    assert f"does not see data.root = {tmp_path / 'absent'}" in told


def test_one_alone_tells_its_failure(memory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(follow, "FIRST_WORD_S", 0.0)
    monkeypatch.setattr(follow, "ignore_sigterm", lambda: None)
    assert follow.told(memory, SECOND, DataError("no file b.png"))
    assert memory.read(FAILED).startswith("rank 1 on ") and memory.read(FAILED).endswith(": no file b.png")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"error: {memory.read(FAILED)}" and lines[1].startswith("next: ") and len(lines) == 2


def test_what_another_has_told_is_not_told_again(memory, capsys: pytest.CaptureFixture) -> None:
    memory.write(FAILED, "rank 0")
    assert not follow.told(memory, SECOND, DataError("no file b.png"))
    assert capsys.readouterr().err == ""


def test_that_another_has_gone_is_not_told(memory, capsys: pytest.CaptureFixture) -> None:
    lost = RuntimeError("[gloo/transport/tcp/pair.cc:545] Read error: Connection reset by peer")
    assert not follow.told(memory, SECOND, lost)
    assert capsys.readouterr().err == "" and memory.read(FAILED) is None
