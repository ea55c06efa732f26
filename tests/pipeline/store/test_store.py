"""Artifacts are published whole, under what went in and what came out."""

import json

import pytest

from pipeline.errors import StoreError
from pipeline.store.store import Store


def publish(store: Store, content: str, key: str = "k" * 64, log: str = "log"):
    work = store.new_work_folder()
    (work / "model.txt").write_text(content)
    (work / "log.txt").write_text(log)
    return store.publish(work, {"kind": "teacher", "key": key, "summary": {}}, {"log.txt"})


def test_publish_then_current(tmp_path) -> None:
    store = Store(tmp_path)
    made = publish(store, "weights")
    found = store.current("teacher", "k" * 64)
    assert found is not None and found.digest == made.digest
    assert (found.folder / "model.txt").read_text() == "weights"
    assert not list((tmp_path / "work").iterdir())


def test_digest_follows_outputs_and_not_the_log(tmp_path) -> None:
    store = Store(tmp_path)
    first = publish(store, "weights", log="fast")
    assert publish(store, "weights", log="slow").digest == first.digest
    assert publish(store, "other").digest != first.digest


def test_a_second_digest_leaves_the_first_in_place(tmp_path) -> None:
    store = Store(tmp_path)
    first = publish(store, "one")
    second = publish(store, "two")
    assert store.current("teacher", "k" * 64).digest == second.digest
    assert store.find("teacher", "k" * 64, first.digest) is not None


def test_nothing_is_current_before_publication(tmp_path) -> None:
    store = Store(tmp_path)
    store.new_work_folder()
    assert store.current("teacher", "k" * 64) is None


def test_broken_manifest_is_an_error(tmp_path) -> None:
    store = Store(tmp_path)
    made = publish(store, "weights")
    (made.folder / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match=r"manifest\.json cannot be read"):
        store.current("teacher", "k" * 64)


def test_manifest_describes_every_file(tmp_path) -> None:
    made = publish(Store(tmp_path), "weights")
    files = json.loads((made.folder / "manifest.json").read_text())["files"]
    assert {name: f["volatile"] for name, f in files.items()} == {"model.txt": False, "log.txt": True}
    assert files["model.txt"]["bytes"] == len("weights")


def test_last_is_remembered_per_recipe(tmp_path) -> None:
    store = Store(tmp_path)
    made = publish(store, "weights")
    store.remember("quickstart", "teacher", made)
    assert store.last("quickstart", "teacher").digest == made.digest
    assert store.last("other", "teacher") is None
