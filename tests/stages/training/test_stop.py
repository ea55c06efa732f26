"""A scheduler's warning, as a user gets it: SIGTERM to a run and to all that it started, its loader's processes too."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from tests.pipeline.conftest import Pipeline

ENDLESS = {"teacher__iterations": "100000", "teacher__checkpoint_iterations": "3", "teacher__workers": "2"}
PATIENCE_S = 120


def test_sigterm_to_the_whole_group_ends_the_step_and_keeps_it(tmp_path: Path) -> None:
    pipeline = Pipeline()
    words = pipeline.words("run", tmp_path, "--until", "teacher", **ENDLESS)
    command = [sys.executable, "-m", "pipeline", *words]
    with subprocess.Popen(
        command, cwd=pipeline.root, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        began = time.monotonic()
        while not list(tmp_path.glob("scratch/teacher/*/teacher.pt")):
            assert running.poll() is None and time.monotonic() < began + PATIENCE_S
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGTERM)
        _, text = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 128 + signal.SIGTERM, text
    stopped = re.search(r"teacher: stopped after (\d+) of 100000 iterations, which are kept", text)
    assert stopped and "Traceback" not in text and "DataLoader" not in text, text
    (checkpoint,) = tmp_path.glob("scratch/teacher/*/teacher.pt")
    assert torch.load(checkpoint, weights_only=True)["iteration"] == int(stopped[1])
    assert "next: " in text
