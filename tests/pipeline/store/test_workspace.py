"""What killed runs left is removed; what living ones, other machines and people keep is not."""

from pathlib import Path

import pytest

from pipeline.store import workspace
from pipeline.store.locks import held, lock_path
from pipeline.store.workspace import dispose, new_work_folder, put_aside, sweep


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return lock_path(tmp_path, "export.onnx", "k" * 64)


def unexpected(line: str) -> None:
    raise AssertionError(f"waited for {line}")


def test_what_a_dead_run_left_is_swept(tmp_path, lock) -> None:
    folder = new_work_folder(tmp_path, lock)
    (folder / "half.bin").write_text("half")
    sweep(tmp_path)
    assert not folder.exists()


def test_what_a_living_run_fills_is_left_alone(tmp_path, lock) -> None:
    with held(lock, unexpected):
        folder = new_work_folder(tmp_path, lock)
        sweep(tmp_path)
        assert folder.exists()


def test_who_holds_the_lock_sweeps_what_lies_under_it(tmp_path, lock) -> None:
    left = new_work_folder(tmp_path, lock)
    with held(lock, unexpected):
        sweep(tmp_path, lock)
    assert not left.exists()


@pytest.mark.parametrize(
    ("machine", "swept"),
    [
        (("elsewhere", "12345678"), False),
        (("elsewhere", ""), False),
        (("elsewhere", "same"), True),
        (("here", "old"), True),
    ],
)
def test_only_this_machine_s_folders_are_swept(tmp_path, lock, monkeypatch, machine, swept) -> None:
    """A container on the same kernel sees its locks; a machine that was started anew has lost all of its own."""
    monkeypatch.setattr(workspace, "machine", lambda: machine)
    folder = new_work_folder(tmp_path, lock)
    monkeypatch.setattr(workspace, "machine", lambda: ("here", "same"))
    sweep(tmp_path)
    assert folder.exists() != swept


def test_a_folder_that_belongs_to_no_lock_is_left_alone(tmp_path) -> None:
    folder = new_work_folder(tmp_path)
    sweep(tmp_path)
    assert folder.exists()


def test_dispose_removes_a_folder_and_takes_one_that_is_not_there(tmp_path, lock) -> None:
    folder = tmp_path / "scratch" / "teacher" / "key"
    folder.mkdir(parents=True)
    (folder / "teacher.pt").write_text("state")
    dispose(tmp_path, folder, lock)
    dispose(tmp_path, folder, lock)
    assert not folder.exists() and not list((tmp_path / "work").iterdir())


def test_what_is_put_aside_keeps_its_place_and_its_content(tmp_path) -> None:
    folder = tmp_path / "store" / "teacher" / "key" / "digest"
    folder.mkdir(parents=True)
    (folder / "model.txt").write_text("weights")
    aside = put_aside(tmp_path, folder)
    assert not folder.exists() and (aside / "model.txt").read_text() == "weights"
    assert aside.is_relative_to(tmp_path / "trash") and aside.parts[-4:] == ("store", "teacher", "key", "digest")
