"""An artifact that is not what was published is found, named, kept from use, and can be made again."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.store.store import Artifact, Store
from pipeline.store.verify import check, remembered, told

CLOCK_TICK_S = 0.02
"""Longer than the step in which a kernel counts the times of files."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def made(store: Store) -> Artifact:
    return publish(store)


def publish(store: Store) -> Artifact:
    work = store.new_work_folder()
    (work / "images").mkdir()
    (work / "images" / "a.png").write_bytes(b"picture")
    (work / "model.txt").write_text("weights")
    (work / "log.txt").write_text("log")
    return store.publish(work, {"kind": "teacher", "key": "k" * 64, "stage": "teacher", "summary": {}}, {"log.txt"})


def flip(path: Path) -> None:
    """Change one bit of a file and set its times back."""
    time.sleep(CLOCK_TICK_S)
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def edit_manifest(folder: Path, change: Callable[[dict], None]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


FAULTS = {
    "one flipped byte": (lambda f: flip(f / "model.txt"), "model.txt: is changed: its sha256 is "),
    "one flipped byte in a log": (lambda f: flip(f / "log.txt"), "log.txt: is changed"),
    "one flipped byte below": (lambda f: flip(f / "images" / "a.png"), "images/a.png: is changed"),
    "cut short": (lambda f: (f / "model.txt").write_text("weigh"), "model.txt: has 5 bytes, not 7"),
    "missing": (lambda f: (f / "model.txt").unlink(), "model.txt: is missing"),
    "one too many": (lambda f: (f / "images" / "b.png").write_text(""), "images/b.png: does not belong to it"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "manifest.json: is missing"),
    "half a manifest": (lambda f: os.truncate(f / "manifest.json", 40), "manifest.json: cannot be read"),
    "a manifest of bytes": (lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe"), "manifest.json: cannot be read"),
    "another JSON": (lambda f: (f / "manifest.json").write_text("[]"), "manifest.json: is not a manifest"),
    "files that are none": (lambda f: edit_manifest(f, lambda m: m["files"].update(x=1)), "manifest.json: is not a"),
    "a changed figure": (
        lambda f: edit_manifest(f, lambda m: m["summary"].update(miou=1)),
        "manifest.json: was changed",
    ),
    "no seal": (lambda f: edit_manifest(f, lambda m: m.pop("manifest_sha256")), "manifest.json: was changed"),
}
"""What is done to an artifact's folder, and the fault that must be found."""


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_found_and_named(store, made, name) -> None:
    assert check(store.home, made.folder) == ()
    damage, expected = FAULTS[name]
    damage(made.folder)
    for rehash in (False, True):
        assert [f.text()[: len(expected)] for f in check(store.home, made.folder, rehash)] == [expected]


def test_a_manifest_whose_digest_does_not_follow_from_its_files(store, made) -> None:
    from pipeline.store.manifest import sealed

    manifest = json.loads((made.folder / "manifest.json").read_text())
    manifest["files"]["log.txt"]["volatile"] = False
    (made.folder / "manifest.json").write_text(json.dumps(sealed(manifest)))
    assert told(check(store.home, made.folder)) == (
        "manifest.json: its digest does not follow from the files that it lists"
    )


def test_an_artifact_in_another_s_place(store, made) -> None:
    shutil.move(made.folder, made.folder.with_name("0" * 64))
    (fault,) = check(store.home, made.folder.with_name("0" * 64))
    assert fault.text().startswith(f"manifest.json: says that it is teacher/{'k' * 64}/{made.digest}")


def test_what_nothing_changed_is_not_read_again(store, made, monkeypatch) -> None:
    monkeypatch.setattr("pipeline.store.verify.sha256_of", lambda path: pytest.fail(f"{path} was read"))
    assert check(store.home, made.folder) == ()


def test_a_moved_store_is_not_read_again(store, made, tmp_path_factory, monkeypatch) -> None:
    moved = tmp_path_factory.mktemp("elsewhere") / "home"
    shutil.move(store.home, moved)
    monkeypatch.setattr("pipeline.store.verify.sha256_of", lambda path: pytest.fail(f"{path} was read"))
    assert check(moved, moved / made.folder.relative_to(store.home)) == ()


def test_what_no_stat_tells_is_found_by_hashing_and_known_from_then_on(store, made) -> None:
    path = made.folder / "model.txt"
    flip(path)
    cache = remembered(store.home, made.folder)
    stat = path.stat()
    cache.entries["model.txt"][0] = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    cache.changed = True
    cache.save()
    assert check(store.home, made.folder) == ()
    assert [f.file for f in check(store.home, made.folder, rehash=True)] == ["model.txt"]
    assert [f.file for f in check(store.home, made.folder)] == ["model.txt"]


def test_many_faults_fit_one_line(store, made) -> None:
    for i in range(5):
        (made.folder / f"{i}.txt").write_text("")
    text = told(check(store.home, made.folder))
    assert text.startswith("0.txt: does not belong to it") and text.endswith("; and 2 more") and "\n" not in text


def test_making_it_again_replaces_a_corrupt_one_and_keeps_that_in_the_trash(store, made) -> None:
    flip(made.folder / "model.txt")
    again = publish(store)
    assert again.folder == made.folder and check(store.home, again.folder) == ()
    (kept,) = store.home.glob(f"trash/*/store/teacher/*/{made.digest}/model.txt")
    assert kept.read_text() != "weights"


def test_a_sound_one_stays_when_it_is_made_again(store, made) -> None:
    before = (made.folder / "model.txt").stat().st_ino
    publish(store)
    assert (made.folder / "model.txt").stat().st_ino == before and not (store.home / "trash").exists()


def test_intact_is_what_may_be_used(store, made) -> None:
    assert store.intact("teacher", "k" * 64).digest == made.digest
    flip(made.folder / "model.txt")
    assert store.intact("teacher", "k" * 64) is None and store.current("teacher", "k" * 64) is not None


@pytest.fixture
def home(finished, tmp_path) -> Path:
    """A copy of the finished run's store."""
    shutil.copytree(finished[0], tmp_path / "home")
    return tmp_path / "home"


def rows(done) -> dict[str, dict]:
    return {row["stage"]: row for row in json.loads(done.stdout)}


def test_verify_of_sound_artifacts(pipeline, home) -> None:
    done = pipeline("verify", home, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0 and all(row["ok"] for row in found) and len(found) >= 6
    done = pipeline("verify", home, "teacher", f"data@{found[0]['folder'][-64:][:8]}")
    assert done.returncode == 0 and done.stdout.count(" ok\n") == 2


def test_a_corrupt_artifact_is_named_not_used_and_replaced(pipeline, home) -> None:
    (picture,) = list(home.glob("store/data/*/*/images/train/*.png"))[:1]
    flip(picture)
    digest = next(parent for parent in picture.parents if (parent / "manifest.json").exists()).name
    for words in ((), ("data",), (f"data@{digest[:12]}",), ("--all",)):
        done = pipeline("verify", home, *words)
        assert done.returncode == 1 and f"{picture.name}: is changed" in done.stdout
        assert f"pull data@{digest[:12]}" in done.stdout and "run --force data" in done.stdout
    status = rows(pipeline("status", home, "--json"))
    assert status["data"]["state"] == "corrupt" and picture.name in status["data"]["reasons"][0]
    assert status["teacher"]["reasons"][0] == "waits for data"
    for words in ((), ("--only", "distill"), ("--dry-run",)):
        done = pipeline("run", home, *words)
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert "error: data is corrupt, nothing was run: " in done.stderr and picture.name in done.stderr
        assert done.stderr.splitlines()[-1].endswith("--force data")
    done = pipeline("show", home, "data")
    assert done.returncode == 2 and "data is corrupt" in done.stderr
    done = pipeline("run", home, "--json", "--force", "data")
    assert done.returncode == 0, done.stderr
    assert {row["action"] for name, row in rows(done).items() if name != "data"} <= {"current", "skipped"}
    assert rows(done)["data"]["digest"] == digest and list(home.glob("trash/*/store/data/*/*/manifest.json"))
    assert pipeline("verify", home, "--all").returncode == 0


def test_a_manifest_that_is_none_is_told_in_one_line(pipeline, home) -> None:
    (manifest,) = home.glob("store/position/*/*/manifest.json")
    manifest.write_text("{")
    status = rows(pipeline("status", home, "--json"))
    assert status["position"]["state"] == "corrupt" and status["teacher"]["state"] == "current"
    for words in (("position",), (f"position@{manifest.parent.name[:8]}",), ()):
        done = pipeline("verify", home, *words)
        assert done.returncode == 1 and "manifest.json: cannot be read" in done.stdout, done.stderr


def test_nothing_to_verify(pipeline, tmp_path) -> None:
    done = pipeline("verify", tmp_path)
    assert done.returncode == 2 and "nothing to verify" in done.stderr
