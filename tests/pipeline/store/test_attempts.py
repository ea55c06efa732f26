"""What an attempt leaves behind: nothing when it ends well, its state and the reason when it does not."""

from errno import ENOSPC
from pathlib import Path

import pytest

from pipeline.errors import DataError, DiskFullError
from pipeline.store.attempts import attempt, clear_spent, failure, has_state, is_spent, was_begun
from pipeline.store.locks import held, lock_path
from pipeline.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def scratch(store: Store) -> Path:
    return store.scratch("teacher", "k" * 64)


def fail(store: Store, scratch: Path, error: BaseException, checkpoint: str | None = None) -> None:
    """An attempt that writes a MiB, perhaps a checkpoint, and ends with `error`."""
    with attempt(store, scratch, lock_path(store.home, "teacher", "k" * 64), 0) as work:
        (work / "model.bin").write_bytes(bytes(2**20))
        if checkpoint:
            (scratch / checkpoint).write_text("state")
        raise error


def test_nothing_is_begun_at_first(scratch: Path) -> None:
    assert not was_begun(scratch) and not has_state(scratch) and failure(scratch) is None


def test_a_failure_is_kept_with_its_first_line_and_its_time(store: Store, scratch: Path) -> None:
    with pytest.raises(DataError):
        fail(store, scratch, DataError("labels/5.png holds 7\nmore"), "teacher.pt")
    text = failure(scratch).text()
    assert text.startswith("the last attempt failed: DataError: labels/5.png holds 7 (20") and "more" not in text
    assert has_state(scratch) and not list((store.home / "work").iterdir())


def test_the_next_attempt_clears_the_failure_and_keeps_the_state(store: Store, scratch: Path) -> None:
    with pytest.raises(DataError):
        fail(store, scratch, DataError("wrong"), "teacher.pt")
    with pytest.raises(KeyboardInterrupt):
        fail(store, scratch, KeyboardInterrupt())
    assert failure(scratch) is None and has_state(scratch) and was_begun(scratch)


def test_half_a_checkpoint_is_nothing_to_go_on_from(store: Store, scratch: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fail(store, scratch, KeyboardInterrupt(), "teacher.part")
    assert was_begun(scratch) and not has_state(scratch)


def test_a_full_disk_tells_how_much_was_written(store: Store, scratch: Path) -> None:
    with pytest.raises(DiskFullError, match=r" 1\.0 MiB needed"):
        fail(store, scratch, OSError(ENOSPC, "full"))
    assert "DiskFullError" in failure(scratch).error


def test_scratch_older_than_what_was_published_goes(store: Store, scratch: Path) -> None:
    current = store.root / "teacher" / ("k" * 64) / "current"
    with pytest.raises(KeyboardInterrupt):
        fail(store, scratch, KeyboardInterrupt(), "teacher.pt")
    clear_spent(store, "teacher", "k" * 64)
    assert not is_spent(scratch, current) and has_state(scratch)
    current.parent.mkdir(parents=True)
    current.write_text("digest")
    assert is_spent(scratch, current)
    with held(lock_path(store.home, "teacher", "k" * 64), print):
        clear_spent(store, "teacher", "k" * 64)
        assert has_state(scratch)
    clear_spent(store, "teacher", "k" * 64)
    assert not was_begun(scratch)
