"""Two commands at once: one makes, the other waits and takes what was made; a killed one holds nobody up."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.store.locks import is_held


@pytest.fixture
def home(finished, tmp_path) -> Path:
    """A store with the data alone."""
    shutil.copytree(finished[0] / "store" / "data", tmp_path / "store" / "data")
    return tmp_path


def start(pipeline, home: Path, **changes: str) -> subprocess.Popen[str]:
    """A run up to the teacher."""
    words = pipeline.words("run", home, "--until", "teacher", "--json", **changes)
    command = [sys.executable, "-m", "pipeline", *words]
    return subprocess.Popen(command, cwd=pipeline.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def teacher(done_or_text: str) -> dict:
    return next(row for row in json.loads(done_or_text) if row["stage"] == "teacher")


def test_two_runs_train_once(pipeline, home) -> None:
    changes = {"teacher__iterations": "12"}
    with start(pipeline, home, **changes) as first:
        wait_for(lambda: list(home.glob("locks/teacher-*.json")))
        with start(pipeline, home, **changes) as second:
            status = teacher(pipeline("status", home, "--json", **changes).stdout)
            outputs = [process.communicate(timeout=300) for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], outputs
    (made, _), (taken, told) = outputs
    assert teacher(made)["action"] == "ran" and teacher(taken)["action"] == "reused"
    assert f"teacher: waits for pid {first.pid} on " in told and ", since 20" in told
    assert teacher(made)["digest"] == teacher(taken)["digest"]
    assert len(list(home.glob("store/teacher/*/*/manifest.json"))) == 1
    assert status["state"] == "running" and f"pid {first.pid} on " in status["reasons"][0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads the children of a process from /proc")
def test_a_killed_run_frees_its_lock_though_its_loader_workers_live(pipeline, home) -> None:
    changes = {"teacher__iterations": "400", "teacher__checkpoint_iterations": "1", "teacher__workers": "1"}
    with start(pipeline, home, **changes) as process:
        wait_for(lambda: list(home.glob("scratch/teacher/*/*.pt")))
        (lock,) = home.glob("locks/teacher-*.lock")
        assert is_held(lock)
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert workers
        process.kill()
        process.wait()
        held, living = is_held(lock), [pid for pid in workers if Path(f"/proc/{pid}").exists()]
        for pid in living:
            os.kill(int(pid), signal.SIGKILL)
    assert living and not held
    assert teacher(pipeline("status", home, "--json", **changes).stdout)["state"] == "interrupted"
