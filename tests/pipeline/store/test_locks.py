"""A lock is held by one process, tells for whom others wait, and is free at once when its holder is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOSYS
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.store.locks import held, held_if_free, holder, is_held, lock_path, record_path

HOLD = """
import multiprocessing, os, sys, time
from pathlib import Path
from pipeline.store.locks import held

def work():
    print(os.getpid(), flush=True)
    time.sleep(60)

with held(Path(sys.argv[1]), print):
    if sys.argv[2] == "fork":
        multiprocessing.get_context("fork").Process(target=work).start()
    else:
        print(0, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return lock_path(tmp_path, "teacher", "k" * 64)


@contextmanager
def another_holder(path: Path, mode: str = "plain") -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that holds the lock until its input ends, and the process that it forked, if it was asked to."""
    command = [sys.executable, "-W", "ignore", "-c", HOLD, str(path), mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        try:
            yield process, worker
        finally:
            process.kill()
            if worker:
                os.kill(worker, signal.SIGKILL)


def unexpected(line: str) -> None:
    raise AssertionError(f"waited for {line}")


def test_who_holds_a_lock_is_told_while_it_is_held(path: Path) -> None:
    with held(path, unexpected) as waited:
        found = holder(path)
        assert found is not None and found.pid == os.getpid() and not waited
        assert found.text().startswith(f"pid {os.getpid()} on ")
    assert holder(path) is None and not is_held(path) and not record_path(path).exists()


def test_nobody_holds_what_was_never_locked(path: Path) -> None:
    assert holder(path) is None and not is_held(path)


def test_looking_does_not_take_the_lock(path: Path) -> None:
    with another_holder(path) as (process, _):
        assert [is_held(path) for _ in range(3)] == [True] * 3
        found = holder(path)
        assert found is not None and found.pid == process.pid


def test_the_second_waits_and_is_told_for_whom(path: Path) -> None:
    told = []
    with another_holder(path) as (process, _):

        def end_the_first(line: str) -> None:
            told.append(line)
            assert process.stdin is not None
            process.stdin.close()

        with held(path, end_the_first) as waited:
            assert waited and holder(path).pid == os.getpid()
        assert len(told) == 1 and told[0].startswith(f"pid {process.pid} on ") and "since 20" in told[0]


def test_a_lock_is_taken_if_it_is_free(path: Path) -> None:
    with held_if_free(path) as free:
        assert free and is_held(path)
    with another_holder(path), held_if_free(path) as free:
        assert not free
    assert not is_held(path)


def test_a_killed_holder_frees_the_lock_though_what_it_forked_lives(path: Path) -> None:
    with another_holder(path, "fork") as (process, worker):
        assert is_held(path)
        process.kill()
        process.wait()
        os.kill(worker, 0)
        assert not is_held(path) and holder(path) is None
        with held_if_free(path) as free:
            assert free and not record_path(path).exists()
        began = time.monotonic()
        with held(path, unexpected):
            assert time.monotonic() - began < 2


def test_a_child_that_ends_leaves_the_lock_to_its_parent(path: Path) -> None:
    with another_holder(path, "fork") as (_, worker):
        os.kill(worker, signal.SIGTERM)
        time.sleep(0.2)
        assert is_held(path)


def test_a_file_system_without_locks_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def no_flock(descriptor: int, operation: int) -> None:
        raise OSError(ENOSYS, os.strerror(ENOSYS))

    monkeypatch.setattr(fcntl, "flock", no_flock)
    with pytest.raises(StoreError, match=r"has no locks.*--home"), held(path, unexpected):
        pass
