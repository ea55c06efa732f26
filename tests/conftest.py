"""Fixtures shared by all tests."""

import os
import signal
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Threads of several workers that wait for each other in turn take many times as long; no test needs two.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real data and weights (`data/camvid`, `weights/`); the test skips where there is none."""
    folder = Path(os.environ.get("IDD_SHARED", ROOT.parent / "shared"))
    if not (folder / "data" / "camvid").is_dir():
        pytest.skip(f"no sample data in {folder}; set IDD_SHARED to a folder that holds data/camvid")
    return folder


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_is_heard() -> None:
    """A job that a shell started in the background ignores Ctrl-C, and so would every process that tests start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
