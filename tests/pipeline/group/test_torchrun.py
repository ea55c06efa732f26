"""`torchrun -m pipeline run` in two processes on the CPU, from the outside."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
BOUNDED = {"OMP_NUM_THREADS": "1"}

TROUBLE = '''
import os, signal, time
from torch import nn
from pipeline.errors import DataError


class Net(nn.Module):
    """Two convolutions; in the fourth training step of rank 1 the trouble that the environment names."""

    def __init__(self, classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.Conv2d(4, classes, 1))
        self.steps = 0

    def forward(self, images_NCHW):
        self.steps += self.training
        trouble = os.environ.get("TROUBLE")
        if self.training and trouble == "slow":
            time.sleep(0.2)
        if self.steps == 4 and os.environ["RANK"] == "1":
            if trouble == "raise":
                raise DataError("no file b.png")
            if trouble == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
        return self.layers(images_NCHW)


def make(classes):
    return Net(classes)
'''


def start(words: list[str], **environment: str) -> subprocess.Popen[str]:
    environ = {**os.environ, **BOUNDED, **environment}
    command = [*TORCHRUN, "-m", "pipeline", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=pipe, stderr=pipe, text=True)


def run(words: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    process = start(words, **environment)
    try:
        out, err = process.communicate(timeout=300)
    except BaseException:
        process.terminate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def made(home: Path, stage: str) -> dict[str, Any]:
    """Manifest of the one artifact of a stage."""
    (manifest,) = home.glob(f"store/{stage}/*/*/manifest.json")
    return {**json.loads(manifest.read_text()), "folder": manifest.parent}


@pytest.fixture(scope="module")
def home(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Home of a tiny run up to the student by two processes, and what the command said."""
    home = tmp_path_factory.mktemp("two")
    return home, run(pipeline.words("run", home, "--until", "distill"))


def test_two_processes_make_a_student(home: tuple[Path, Any], pipeline: Any) -> None:
    folder, done = home
    assert done.returncode == 0, done.stderr
    assert [made(folder, stage)["processes"] for stage in ("data", "teacher", "position", "distill")] == [1, 2, 2, 2]
    assert done.stderr.count("batch 8 (4 in each of 2 processes)") == 3, "said once for each stage, by rank 0"
    assert "ran" in done.stdout and "Warning" not in done.stderr
    again = pipeline("run", folder, "--until", "distill")
    assert again.returncode == 0 and "nothing to do" in again.stdout, "the number of processes is not in the key"


def test_scores_are_exactly_one_processs(home: tuple[Path, Any], pipeline: Any, tmp_path: Path) -> None:
    by_two = made(home[0], "teacher")["folder"]
    weights = f'"{by_two / "model.safetensors"}"'
    done = pipeline("run", tmp_path, "--until", "teacher", teacher__iterations="0", teacher__weights=weights)
    assert done.returncode == 0, done.stderr
    by_one = made(tmp_path, "teacher")["folder"]
    for name in ("metrics.json", "confusion_test.csv"):
        assert (by_one / name).read_text() == (by_two / name).read_text()


def troubled(pipeline: Any, home: Path, net: Path) -> tuple[list[str], Mapping[str, str]]:
    """Words of a run whose teacher's network makes trouble, and the environment in which it is found."""
    settings = {
        "teacher__net": "trouble:make",
        "teacher__args": "{}",
        "teacher__iterations": "12",
        "teacher__checkpoint_iterations": "1",
    }
    net.mkdir(exist_ok=True)
    (net / "trouble.py").write_text(TROUBLE)
    return pipeline.words("run", home, "--until", "teacher", **settings), {"PYTHONPATH": str(net)}


def test_the_failure_of_one_process_ends_all_and_is_told_once(pipeline: Any, tmp_path: Path) -> None:
    words, environment = troubled(pipeline, tmp_path / "home", tmp_path / "net")
    done = run(words, TROUBLE="raise", **environment)
    assert done.returncode != 0
    (error,) = [line for line in done.stderr.splitlines() if "no file b.png" in line]
    assert error.startswith("error: rank 1 on ") and error.endswith(": no file b.png")
    (following,) = [line for line in done.stderr.splitlines() if line.startswith("next: ")]
    assert following.startswith("next: python") and " --standalone --nproc-per-node 2 -m pipeline run " in following
    assert "KeyboardInterrupt" not in done.stderr and "RankError" not in done.stderr


@pytest.mark.slow
def test_a_killed_process_ends_all(pipeline: Any, tmp_path: Path) -> None:
    words, environment = troubled(pipeline, tmp_path / "home", tmp_path / "net")
    done = run(words, TROUBLE="kill", **environment)
    assert done.returncode != 0
    assert "ended without a word" in done.stderr or "interrupted: nothing half made was published" in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("next: ")]) == 1
    assert not list((tmp_path / "home").glob("store/teacher/*/*"))


def test_what_sigterm_ended_goes_on_by_the_same_command(pipeline: Any, tmp_path: Path) -> None:
    words, environment = troubled(pipeline, tmp_path / "home", tmp_path / "net")
    process = start(words, TROUBLE="slow", **environment)
    until = time.monotonic() + 120
    while not list((tmp_path / "home").glob("scratch/teacher/*/teacher.pt")) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "interrupted: nothing half made was published" in err and "DataLoader worker" not in err
    again = run(words, **environment)
    assert again.returncode == 0, again.stderr
    assert any(line.startswith("teacher: resumed at iteration ") for line in again.stderr.splitlines())
    assert made(tmp_path / "home", "teacher")["processes"] == 2
