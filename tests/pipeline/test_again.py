"""The command that goes on is the one that was typed."""

import sys

import pytest

from pipeline import again
from pipeline.group.ranks import STARTED, Group


def test_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STARTED, raising=False)
    monkeypatch.setattr(sys, "argv", ["pipeline", "run", "--set", "teacher.crop_px=[64, 96]"])
    wanted = "python -m pipeline run --set 'teacher.crop_px=[64, 96]' --force data"
    assert again.command_again("--force", "data") == wanted


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (
            ["/venv/bin/python", "/venv/bin/torchrun", "--nproc-per-node", "8", "-m", "pipeline", "run"],
            ["torchrun", "--nproc-per-node", "8"],
        ),
        (
            ["/venv/bin/python3", "-m", "torch.distributed.run", "--nnodes=2", "-m", "pipeline", "run", "-m", "x"],
            ["python3", "-m", "torch.distributed.run", "--nnodes=2"],
        ),
        (["/sbin/init"], None),
        ([], None),
    ],
)
def test_torchruns_words(words: list[str], typed: list[str] | None) -> None:
    assert again.of_torchrun(words) == typed


@pytest.mark.parametrize(
    ("group", "words"),
    [
        (Group(0, 4, 0, 4, 1), ["torchrun", "--nproc-per-node", "4"]),
        (Group(0, 8, 0, 4, 2), ["torchrun", "--nnodes", "2", "--nproc-per-node", "4"]),
    ],
)
def test_where_its_command_line_cannot_be_read(monkeypatch: pytest.MonkeyPatch, group: Group, words: list[str]) -> None:
    monkeypatch.setattr(again, "started", lambda: group)
    assert again.spelt_anew() == words
