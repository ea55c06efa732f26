"""What is moved, what is left, and what yields to what; the remote store is a folder."""

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from pipeline.errors import PipelineError, RemoteError, StoreError
from pipeline.plan import State
from pipeline.remote.transfer import How, pull, push
from pipeline.remote.url import Absent, opened
from pipeline.store.locks import held, lock_path

STAGES = ("data", "teacher", "position", "distill")


def pushed(fabric, home: Path, remote: Path, *references: str, use: bool = False, dry: bool = False, **changes: str):
    """{reference's kind: row} of a push."""
    with opened(str(remote), Absent.LEAVE if dry else Absent.MAKE) as there:
        return list(push(fabric.planner(home, **changes), there, references, How(use, dry)))


def pulled(fabric, home: Path, remote: Path, *references: str, use: bool = False, dry: bool = False, **changes: str):
    said: list[str] = []
    with opened(str(remote), Absent.REFUSE) as there:
        return list(pull(fabric.planner(home, **changes), there, references, How(use, dry), said.append)), said


def kinds(rows, action: str) -> list[str]:
    return [row.reference.partition("@")[0] for row in rows if row.action == action]


def contents(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def remote(fabric, stocked, tmp_path) -> Path:
    """A folder into which everything was pushed."""
    folder = tmp_path / "remote"
    assert kinds(pushed(fabric, stocked, folder), "pushed") == list(STAGES)
    return folder


def test_a_remote_store_is_laid_out_as_the_local_one(stocked, remote) -> None:
    assert contents(remote) == contents(stocked / "store")


def test_another_home_pulls_what_the_recipe_wants_and_is_current(fabric, stocked, remote, tmp_path) -> None:
    home = tmp_path / "home"
    rows, said = pulled(fabric, home, remote)
    assert kinds(rows, "pulled") == list(STAGES)
    assert all(row.bytes > 0 for row in rows)
    assert contents(home / "store") == contents(stocked / "store")
    states = fabric.states(home)
    assert [states[name] for name in STAGES] == [State.CURRENT] * 4
    assert any(line.startswith("export.onnx: not in") for line in said)
    assert not any((home / "work").iterdir())
    # A changed setting is compared with what was pulled.
    status = fabric.planner(home, distill__lr="0.02").statuses()["distill"]
    assert status.state is State.STALE and "0.02" in status.reasons[0]


def test_the_second_time_nothing_is_moved(fabric, stocked, remote, tmp_path) -> None:
    assert {(row.action, row.bytes) for row in pushed(fabric, stocked, remote)} == {("already there", 0)}
    pulled(fabric, tmp_path / "home", remote)
    rows, _ = pulled(fabric, tmp_path / "home", remote)
    assert {(row.action, row.bytes) for row in rows} == {("already there", 0)}


def test_a_dry_run_moves_nothing(fabric, stocked, tmp_path) -> None:
    remote = tmp_path / "remote"
    rows = pushed(fabric, stocked, remote, dry=True)
    assert kinds(rows, "would push") == list(STAGES) and rows[1].bytes > 3_000_000
    assert {row.note for row in rows} == {"its folder would be made"} and not remote.exists()
    remote.mkdir()
    assert {row.note for row in pushed(fabric, stocked, remote, dry=True)} == {""} and not list(remote.iterdir())
    pushed(fabric, stocked, remote)
    rows, _ = pulled(fabric, tmp_path / "home", remote, dry=True)
    assert kinds(rows, "would pull") == list(STAGES) and rows[1].bytes > 3_000_000
    assert not (tmp_path / "home" / "store").exists()


def test_a_stage_comes_alone_found_through_the_manifests_before_it(fabric, remote, tmp_path) -> None:
    rows, _ = pulled(fabric, tmp_path / "home", remote, "distill")
    assert kinds(rows, "pulled") == ["distill"]
    assert [path.name for path in (tmp_path / "home" / "store").iterdir()] == ["distill"]


def test_an_artifact_comes_by_its_digest(fabric, stocked, remote, tmp_path) -> None:
    digest = fabric.planner(stocked).statuses()["teacher"].digest
    rows, _ = pulled(fabric, tmp_path / "home", remote, f"teacher@{digest[:8]}", teacher__lr="9")
    assert kinds(rows, "pulled") == ["teacher"]


@pytest.mark.parametrize(
    ("reference", "part"),
    [
        ("teacher@ffff", "no artifact teacher@ffff in .*: there is teacher@"),
        ("export.onnx", "export.onnx: not in .* under key .*; push it where it was made"),
        ("bench", "bench: waits for .*export.onnx; push it where it was made"),
        ("techer", "did you mean 'teacher'"),
        ("tag:best", "tags and sweeps are kept on one machine"),
    ],
)
def test_what_is_not_there_is_an_error_where_it_was_named(fabric, remote, tmp_path, reference, part) -> None:
    with pytest.raises(PipelineError, match=part):
        pulled(fabric, tmp_path / "home", remote, reference)


def test_several_digests_of_one_prefix_are_listed(fabric, remote, tmp_path) -> None:
    home = fabric.stock(tmp_path / "other", "data")
    fabric.publish(fabric.planner(home), "teacher", salt="retrained")
    pushed(fabric, home, remote, "teacher")
    with pytest.raises(RemoteError, match=r"teacher@ names 2 artifacts of .*: teacher@.*, teacher@"):
        pulled(fabric, tmp_path / "home", remote, "teacher@")


def test_another_digest_under_the_key_keeps_the_local_one(fabric, remote, tmp_path) -> None:
    home = fabric.stock(tmp_path / "home", "data")
    mine = fabric.publish(fabric.planner(home), "teacher", salt="retrained")
    rows, _ = pulled(fabric, home, remote)
    assert [row.action for row in rows] == ["already there", "kept local"]
    theirs = rows[1].reference
    assert f"teacher@{mine.digest[:12]} stays current here" in rows[1].note and theirs in rows[1].note
    # By name it comes beside the local one, and with --current before it.
    rows, _ = pulled(fabric, home, remote, theirs)
    assert kinds(rows, "pulled") == ["teacher"] and "stays current" in rows[0].note
    assert fabric.planner(home).statuses()["teacher"].digest == mine.digest
    rows, _ = pulled(fabric, home, remote, use=True)
    assert kinds(rows, "pulled") == ["position", "distill"]
    assert theirs.partition("@")[2] in fabric.planner(home).statuses()["teacher"].digest
    assert (mine.folder / "manifest.json").exists()


def test_a_push_adds_a_digest_and_moves_current_only_when_told(fabric, stocked, remote, tmp_path) -> None:
    home = fabric.stock(tmp_path / "home", "data")
    mine = fabric.publish(fabric.planner(home), "teacher", salt="retrained")
    before = contents(remote)
    rows = pushed(fabric, home, remote, "teacher")
    assert kinds(rows, "pushed") == ["teacher"] and "stays current there" in rows[0].note
    assert {name: content for name, content in contents(remote).items() if name in before} == before
    current = remote / "teacher" / mine.key / "current"
    assert current.read_text() != mine.digest
    pushed(fabric, home, remote, "teacher", use=True)
    assert current.read_text() == mine.digest


def test_equal_outputs_with_another_log_are_one_artifact(fabric, remote, tmp_path) -> None:
    home = tmp_path / "home"
    fabric.publish(fabric.planner(home), "data", log="on a quicker machine, of another length")
    before = contents(remote)
    assert [row.action for row in pushed(fabric, home, remote)] == ["already there"]
    assert contents(remote) == before


def test_a_damaged_artifact_is_not_pushed(fabric, tmp_path) -> None:
    home = fabric.stock(tmp_path / "home", "data")
    (model,) = home.glob("store/data/*/*/model.safetensors")
    model.write_bytes(b"x" + model.read_bytes()[1:])
    with pytest.raises(StoreError, match=r"data is corrupt, nothing was pushed: model\.safetensors: is changed"):
        pushed(fabric, home, tmp_path / "remote")
    with pytest.raises(StoreError, match=r"not pushed: .*: model\.safetensors: is changed"):
        pushed(fabric, home, tmp_path / "remote", "data@")
    assert not list((tmp_path / "remote").glob("data/*/*"))


@pytest.mark.parametrize("file", ["model.safetensors", "manifest.json"])
@pytest.mark.parametrize("references", [(), ("teacher@",)])
def test_a_damaged_artifact_is_restored_by_a_pull(fabric, remote, tmp_path, file, references) -> None:
    pulled(fabric, tmp_path / "home", remote)
    (path,) = (tmp_path / "home").glob(f"store/teacher/*/*/{file}")
    whole = path.read_bytes()
    path.write_bytes(b"\0" + whole[1:]) if file.startswith("model") else path.unlink()
    assert fabric.states(tmp_path / "home")["teacher"] is State.CORRUPT
    rows, _ = pulled(fabric, tmp_path / "home", remote, *references)
    assert kinds(rows, "pulled") == ["teacher"]
    assert path.read_bytes() == whole
    assert fabric.states(tmp_path / "home")["distill"] is State.CURRENT
    assert list((tmp_path / "home").glob("trash/*/store/teacher/*/*/model.safetensors"))


def test_a_pull_waits_for_whoever_makes_the_same_artifact(fabric, stocked, remote, tmp_path) -> None:
    home = tmp_path / "home"
    key = fabric.planner(stocked).statuses()["data"].key
    said: list[str] = []
    began, rows = threading.Event(), []

    def say(line: str) -> None:
        said.append(line)
        began.set()

    def fetch() -> None:
        with opened(str(remote), Absent.REFUSE) as there:
            rows.extend(pull(fabric.planner(home), there, ["data"], How(), say))

    thread = threading.Thread(target=fetch)
    with held(lock_path(home, "data", key), said.append):
        thread.start()
        assert began.wait(60)
        assert not (home / "store").exists()
    thread.join(60)
    assert f"waits for pid {os.getpid()}" in said[0] and kinds(rows, "pulled") == ["data"]


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"), "arrived with another sha256"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "ends after 999 of 1,000 bytes"),
        (lambda path: path.write_bytes(path.read_bytes() + b"?"), "is longer than its manifest says"),
        (lambda path: path.unlink(), "is missing"),
        (lambda path: (path.rename(path.with_name("aside")), path.symlink_to("aside")), "is a symbolic link"),
    ],
)
def test_a_damaged_file_is_refused_and_nothing_published(fabric, remote, tmp_path, damage, part) -> None:
    (model,) = remote.glob("position/*/*/model.safetensors")
    damage(model)
    with pytest.raises(RemoteError, match=part) as caught:
        pulled(fabric, tmp_path / "home", remote)
    assert "\n" not in str(caught.value)
    states = fabric.states(tmp_path / "home")
    assert (states["teacher"], states["position"]) == (State.CURRENT, State.MISSING)
    assert not list((tmp_path / "home").glob("store/position/*/*"))


def test_a_download_goes_on_where_it_stopped_and_from_nothing_where_that_is_wrong(fabric, remote, tmp_path) -> None:
    (model,) = remote.glob("teacher/*/*/model.safetensors")
    key, digest = model.parent.parent.name, model.parent.name
    for begun in (model.read_bytes()[:5_000_000], b"\0" * 6_000_000, b"\0" * 6_000_001):
        home = tmp_path / str(len(begun))
        shutil.copytree(remote / "data", home / "store" / "data")
        incoming = home / "work" / f"pull-teacher-{key}-{digest}"
        (incoming / "images").mkdir(parents=True)
        (incoming / "model.safetensors").write_bytes(begun)
        (incoming / "images" / "stray.png").write_bytes(b"of another artifact")
        rows, _ = pulled(fabric, home, remote, "teacher")
        (row,) = rows
        assert row.action == "pulled" and (row.bytes < 1_100_000) == (len(begun) == 5_000_000)
        assert contents(home / "store" / "teacher" / key / digest) == contents(model.parent)


def test_an_upload_goes_on_where_it_stopped_and_takes_no_strays_along(fabric, stocked, tmp_path) -> None:
    teacher = fabric.planner(stocked).statuses()["teacher"].artifact
    incoming = tmp_path / "remote" / ".incoming" / f"teacher-{teacher.key}-{teacher.digest}"
    incoming.mkdir(parents=True)
    shutil.copyfile(teacher.folder / "model.safetensors", incoming / "model.safetensors")
    (incoming / "model.safetensors.0.part").write_bytes(b"of a killed process")
    (incoming / "log.txt").write_bytes(b"x" * len("made here"))
    (row,) = pushed(fabric, stocked, tmp_path / "remote", "teacher")
    assert row.action == "pushed" and row.bytes < 1000
    assert contents(tmp_path / "remote" / "teacher" / teacher.key / teacher.digest) == contents(teacher.folder)


def test_an_upload_lost_to_another_process_is_already_there(fabric, stocked, tmp_path, monkeypatch) -> None:
    """The other process finishes between this one's question and its rename."""
    from pipeline.remote import upload

    teacher = fabric.planner(stocked).statuses()["teacher"].artifact
    settle = upload.settle

    def late(remote, folder, artifact) -> None:
        shutil.copytree(folder, remote.folder("teacher", artifact.key, artifact.digest))
        settle(remote, folder, artifact)

    monkeypatch.setattr(upload, "settle", late)
    (row,) = pushed(fabric, stocked, tmp_path / "remote", "teacher")
    assert row.action == "already there"
    assert contents(tmp_path / "remote" / "teacher" / teacher.key / teacher.digest) == contents(teacher.folder)


def test_an_artifact_without_current_there_becomes_current(fabric, stocked, remote) -> None:
    (pointer,) = remote.glob("teacher/*/current")
    digest = pointer.read_text()
    pointer.unlink()
    pushed(fabric, stocked, remote, "teacher")
    assert pointer.read_text() == digest


def test_no_room_is_said_before_anything_is_moved(fabric, remote, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1_500_000))
    with pytest.raises(RemoteError, match=r"teacher@\w+ needs 6 MB and .*home has 2 MB free"):
        pulled(fabric, tmp_path / "home", remote)


def test_images_that_are_not_on_this_machine(fabric, tmp_path) -> None:
    """A data artifact is found by everything but its source files, and what follows by its digest."""
    changes = {"data__source": "camvid", "data__root": str(tmp_path / "camvid")}
    for split in ("train", "val", "test"):
        for folder in (split, f"{split}_labels"):
            (tmp_path / "camvid" / folder).mkdir(parents=True)
    (tmp_path / "camvid" / "class_dict.csv").write_text("name,r,g,b\nSky,1,2,3\n")
    home = fabric.stock(tmp_path / "home", "data", "teacher", **changes)
    pushed(fabric, home, tmp_path / "remote", **changes)
    away = {"data__source": "camvid", "data__root": str(tmp_path / "nowhere")}
    rows, _ = pulled(fabric, tmp_path / "laptop", tmp_path / "remote", **away)
    assert kinds(rows, "pulled") == ["data", "teacher"]
    states = fabric.states(tmp_path / "laptop", **away)
    assert (states["data"], states["teacher"]) == (State.SOURCE_ABSENT, State.CURRENT)


def test_the_command_line_prints_rows(fabric, pipeline, stocked, tmp_path) -> None:
    remote = tmp_path / "remote"
    done = pipeline("push", stocked, "--json", "--store", str(remote))
    rows = json.loads(done.stdout)
    assert done.returncode == 0 and [row["action"] for row in rows] == ["pushed"] * 4
    assert all({"reference", "action", "bytes", "seconds"} <= set(row) for row in rows)
    done = pipeline("pull", tmp_path / "home", "--store", remote.as_uri())
    assert done.returncode == 0 and done.stdout.splitlines()[0].split()[:3] == ["artifact", "action", "bytes"]
    assert done.stdout.count(" pulled ") == 4 and "export.onnx: not in" in done.stderr
