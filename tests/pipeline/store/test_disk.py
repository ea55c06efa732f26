"""A full disk is told in one line, whichever library met it."""

import json
import os
import shutil
import subprocess
import sys
from errno import EACCES, EDQUOT, ENOSPC
from pathlib import Path

import pytest

from pipeline.store.disk import as_full, causes


def wrapped(error: Exception) -> RuntimeError:
    """A library's own error that came of `error`."""
    try:
        try:
            raise error
        except Exception as inner:
            raise RuntimeError("writer failed") from inner
    except RuntimeError as outer:
        return outer


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (OSError(ENOSPC, os.strerror(ENOSPC)), "no space left"),
        (OSError(EDQUOT, os.strerror(EDQUOT)), "the disk quota is used up"),
        (wrapped(OSError(ENOSPC, os.strerror(ENOSPC))), "no space left"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "no space left"),
    ],
)
def test_every_form_of_it_is_told_alike(tmp_path: Path, error: Exception, part: str) -> None:
    told = as_full(error, tmp_path, needed_bytes=3 * 2**20)
    assert told is not None and "\n" not in str(told)
    for piece in (part, " MiB free", "3.0 MiB needed", "nothing is lost", "same command"):
        assert piece in str(told)


@pytest.mark.parametrize("error", [OSError(EACCES, "no"), RuntimeError("os error 281"), ValueError("full")])
def test_other_errors_are_left_as_they_are(tmp_path: Path, error: Exception) -> None:
    assert as_full(error, tmp_path) is None


def test_what_is_not_known_is_not_told(tmp_path: Path) -> None:
    assert "needed" not in str(as_full(OSError(ENOSPC, "full"), tmp_path))


def test_the_file_that_the_error_names_tells_the_file_system(tmp_path: Path) -> None:
    shm = Path("/dev/shm")
    if not shm.is_mount():
        pytest.skip("no second file system at /dev/shm")
    told = as_full(OSError(ENOSPC, "full", str(shm / "missing" / "file")), tmp_path)
    assert f"file system {shm} (" in str(told)


def test_causes_of_an_error_that_is_its_own_context_end() -> None:
    error = RuntimeError("loop")
    other = RuntimeError("other")
    error.__context__, other.__context__ = other, error
    assert list(causes(error)) == [error, other]


class SmallDisk:
    """A tmpfs of a given size."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mount(self, size: str, *options: str) -> bool:
        """Whether this process may mount; with the option `remount`, change the size."""
        option = ",".join((*options, f"size={size}"))
        command = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(self.folder)]
        return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path):
    """A disk of 1 MiB; the test skips where mounting is not permitted."""
    disk = SmallDisk(tmp_path / "disk")
    disk.folder.mkdir()
    if sys.platform != "linux" or shutil.which("mount") is None or not disk.mount("1m"):
        pytest.skip("mounting a tmpfs is not permitted here: it takes root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk.folder)], check=True)


def assert_full_in_one_line(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2 and len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
    for part in (f"no space left on the file system {folder} (", " MiB free", " MiB needed", "nothing is lost"):
        assert part in errors[0]
    assert done.stderr.splitlines()[-1].startswith("next: python -m pipeline run --home ")


def states(pipeline, home: Path, **changes: str) -> dict[str, str]:
    return {row["stage"]: row["state"] for row in json.loads(pipeline("status", home, "--json", **changes).stdout)}


def test_a_disk_that_fills_up_loses_nothing(pipeline, finished, small_disk) -> None:
    """The data, then a checkpoint, then the trained teacher find no room; with room the same command ends."""
    home = small_disk.folder / "home"
    for size, stage, interval in (("1m", "data", "1"), ("12m", "teacher", "1"), ("34m", "teacher", "3")):
        assert small_disk.mount(size, "remount")
        changes = {"teacher__checkpoint_iterations": interval}
        assert_full_in_one_line(pipeline("run", home, "--until", "teacher", **changes), small_disk.folder)
        assert states(pipeline, home, **changes)[stage] == "failed"
        assert not list(home.glob("work/*")) and not list(home.glob(f"store/{stage}/*/*"))
    assert [path.name for path in home.glob("scratch/teacher/*/*.pt")] == ["teacher.pt"]
    assert small_disk.mount("120m", "remount")
    done = pipeline("run", home, "--until", "teacher")
    assert done.returncode == 0 and "resumed at iteration 3 of 3" in done.stderr, done.stderr
    made, expected = (list(place.glob("store/teacher/*/*/model.safetensors")) for place in (home, finished[0]))
    assert [path.parent.name for path in made] == [path.parent.name for path in expected]
