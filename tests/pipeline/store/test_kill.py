"""A run that is killed at any moment leaves the old artifact or the new one, and the next run goes on from there."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.store.store import Store
from pipeline.store.verify import check

KILL_AT = Path(__file__).with_name("kill_at.py")
EVERY_ITERATION = {f"{stage}__checkpoint_iterations": "1" for stage in ("teacher", "position", "distill")}

KILLS = (
    ("data, a picture half way", "write", r"work/data-.*/images/train/", 5),
    ("data, its last file", "write", r"work/data-.*/frequencies\.json", 1),
    ("data, before its manifest", "write", r"work/data-.*/manifest\.json", 1),
    ("data, before it is in place", "rename", r"work/data-\S+ -> \S+/store/data/", 1),
    ("data, in place but not current", "rename", r"store/data/\S+/current$", 1),
    ("teacher, before its first checkpoint", "write", r"scratch/teacher/.*\.part", 1),
    ("teacher, its second checkpoint written but not in place", "rename", r"scratch/teacher/\S+ -> ", 2),
    ("teacher, trained, before its scores", "write", r"work/teacher-.*/metrics\.json", 1),
    ("teacher, before it is in place", "rename", r"work/teacher-\S+ -> \S+/store/teacher/", 1),
    ("teacher, in place but not current", "rename", r"store/teacher/\S+/current$", 1),
    ("teacher, current, its scratch still there", "rename", r"scratch/teacher/[0-9a-f]+ -> ", 1),
    ("position, its second checkpoint", "rename", r"scratch/position/\S+/position\.pt$", 2),
    ("position, the second loop's second checkpoint", "rename", r"scratch/position/\S+/content_only\.pt$", 2),
    ("position, its last file", "write", r"work/position-.*/README\.md", 1),
    ("distill, its first checkpoint written but not in place", "rename", r"scratch/distill/\S+\.pt$", 1),
    ("distill, its last checkpoint written but not in place", "rename", r"scratch/distill/\S+\.pt$", 3),
    ("distill, before its manifest", "write", r"work/distill-.*/manifest\.json", 1),
    ("distill, current but not remembered for the recipe", "rename", r"last/\S+/distill\.json$", 1),
    ("export, its second file", "write", r"work/export\.onnx-.*\.onnx$", 2),
    ("export, before it is in place", "rename", r"work/export\.onnx-\S+ -> \S+/store/export\.onnx/", 1),
)
"""What is about to happen when the process is killed: in words, and as kill_at.py takes it."""
FEW = (3, 6, 12, 15)
"""Places in KILLS that stand for the rest where time is short: a publication, and each of the three stages that resume
within its training."""


def run_until_killed(pipeline, home: Path, event: str, pattern: str, nth: int) -> None:
    """Run up to the export and check that the kill came."""
    words = pipeline.words("run", home, "--until", "export", **EVERY_ITERATION)
    command = [sys.executable, str(KILL_AT), event, pattern, str(nth), *words]
    done = subprocess.run(command, cwd=pipeline.root, capture_output=True, text=True, timeout=600)
    assert done.returncode == -signal.SIGKILL, done.stderr


def assert_store_is_whole(home: Path) -> None:
    """Every published folder is what its manifest says, and every `current` names one of them."""
    store = Store(home)
    folders = store.folders()
    assert [check(home, folder, rehash=True) for folder in folders] == [()] * len(folders)
    for pointer in store.root.glob("*/*/current"):
        assert pointer.parent / pointer.read_text() in folders


def digests(home: Path) -> dict[str, list[str]]:
    """Digests by kind, up to the export; the student without distillation is left out."""
    distilled = json.loads((home / "last" / "quickstart" / "distill.json").read_text())
    found = {
        kind: [f.name for f in Store(home).folders(kind)] for kind in ("data", "teacher", "position", "export.onnx")
    }
    return {**found, "distill": [distilled["digest"]]}


def assert_goes_on_after(pipeline, finished, home: Path, kills) -> None:
    """Kill one run after the other, let the last one end, and compare with a run that nobody killed."""
    for what, event, pattern, nth in kills:
        run_until_killed(pipeline, home, event, pattern, nth)
        try:
            assert_store_is_whole(home)
        except AssertionError as error:
            raise AssertionError(f"killed at: {what}") from error
    done = pipeline("run", home, "--until", "export", **EVERY_ITERATION)
    assert done.returncode == 0, done.stderr
    assert_store_is_whole(home)
    assert digests(home) == digests(finished[0])
    assert not list(home.glob("work/*")) and not list(home.glob("scratch/*/*")) and not list(home.glob("locks/*.json"))


def test_killed_four_times_it_makes_what_an_uninterrupted_run_makes(pipeline, finished, tmp_path) -> None:
    assert_goes_on_after(pipeline, finished, tmp_path, [KILLS[i] for i in FEW])


@pytest.mark.slow
def test_killed_twenty_times_it_makes_what_an_uninterrupted_run_makes(pipeline, finished, tmp_path) -> None:
    assert_goes_on_after(pipeline, finished, tmp_path, KILLS)
