"""Digests of files outside the store, and how they are remembered."""

import json
import os

import pytest

from pipeline.identity.keys import sha256
from pipeline.identity.sources import COARSEST_CLOCK_NS, SourceCache


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Three files, at a moment when their times can be trusted."""
    folder = tmp_path / "set"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_text(name)
    let_time_pass(monkeypatch, folder / "c")
    return {name: str(folder / name) for name in "abc"}


def let_time_pass(monkeypatch, latest) -> None:
    """The clock as it stands after the last change can no longer be confused with another."""
    now = os.stat(latest).st_ctime_ns + COARSEST_CLOCK_NS + 1
    monkeypatch.setattr("pipeline.identity.sources.time.time_ns", lambda: now)


def read_again(tmp_path) -> SourceCache:
    return SourceCache(tmp_path / "cache")


def test_name_and_content_count_and_the_folder_does_not(files, tmp_path) -> None:
    cache = read_again(tmp_path)
    identity = cache.identity(files)
    (tmp_path / "moved").mkdir()
    for name in files:
        (tmp_path / "moved" / name).write_text(name)
    assert cache.identity({name: tmp_path / "moved" / name for name in files}) == identity
    assert cache.identity({"a": files["a"], "b": files["b"]}) != identity
    assert cache.identity({"a": files["b"], "b": files["a"], "c": files["c"]}) != identity
    assert cache.digests(files) == {name: sha256(name.encode()) for name in "abc"}


def test_unchanged_files_are_neither_read_nor_looked_up(files, tmp_path, monkeypatch) -> None:
    first = read_again(tmp_path)
    identity = first.identity(files)
    first.save()
    (tmp_path / "cache" / "source_files.json").unlink()
    again = read_again(tmp_path)
    monkeypatch.setattr(again, "digests", lambda files: pytest.fail("read again"))
    assert again.identity(files) == identity


@pytest.mark.parametrize("keep_times", [False, True])
def test_a_changed_file_is_seen_even_with_its_old_mtime(files, tmp_path, monkeypatch, keep_times) -> None:
    cache = read_again(tmp_path)
    before = cache.identity(files)
    stat = os.stat(files["b"])
    with open(files["b"], "w") as file:
        file.write("B")
    if keep_times:
        os.utime(files["b"], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    let_time_pass(monkeypatch, files["b"])
    assert cache.identity(files) != before


def test_a_set_that_changed_this_instant_is_not_remembered(files, tmp_path, monkeypatch) -> None:
    now = os.stat(files["c"]).st_ctime_ns + COARSEST_CLOCK_NS // 2
    monkeypatch.setattr("pipeline.identity.sources.time.time_ns", lambda: now)
    cache = read_again(tmp_path)
    cache.identity(files)
    assert cache.sets == {}


def test_a_spoilt_or_deleted_cache_costs_time_alone(files, tmp_path) -> None:
    cache = read_again(tmp_path)
    identity = cache.identity(files)
    cache.save()
    for name, text in (("source_sets.json", "{"), ("source_files.json", "[]")):
        (tmp_path / "cache" / name).write_text(text)
    assert read_again(tmp_path).identity(files) == identity


def test_few_sets_are_kept(files, tmp_path) -> None:
    cache = read_again(tmp_path)
    cache.sets.update({str(number): "old" for number in range(100)})
    cache.identity(files)
    cache.save()
    kept = json.loads((tmp_path / "cache" / "source_sets.json").read_text())
    assert len(kept) == 32 and cache.identity(files) in kept.values()
