"""Starts scripts beside the tests, in one process or as torchrun does."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
Script = Callable[..., None]


@pytest.fixture(scope="session")
def script() -> Script:
    """`script("trained_in_a_group.py", folder, "equal", processes=2)`: runs it to its end."""

    def script(name: str, *words: object, processes: int) -> None:
        launcher = (*TORCHRUN, str(processes)) if processes > 1 else ()
        command = [sys.executable, "-W", "ignore", *launcher, str(HERE / name), *map(str, words)]
        environment = {**os.environ, "PYTHONPATH": str(HERE.parents[2]), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr

    return script
