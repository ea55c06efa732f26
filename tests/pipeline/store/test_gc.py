"""What gc keeps and why, what it moves, and what it never touches."""

import json
import os
import subprocess
import sys
import time

import pytest

from pipeline.store.locks import lock_path

HOUR_S = 3600


def survey(call, home, *options):
    """Rows of `gc --json` by name, and the whole document."""
    code, out, err = call("gc", "--home", home, "--json", *options)
    assert code == 0, err
    document = json.loads(out)
    return {row["name"]: row for row in document["items"]}, document


def name_of(artifact) -> str:
    return f"{artifact.manifest['kind']}@{artifact.digest[:12]}"


def age(path, seconds: float) -> None:
    """Set a folder and all that is in it back in time."""
    then = time.time() - seconds
    for each in [*path.rglob("*"), path]:
        os.utime(each, (then, then))


class Holder:
    """Another process that holds the lock of a key while the block runs."""

    def __init__(self, path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        code = "import sys, filelock\nwith filelock.FileLock(sys.argv[1]):\n print('held', flush=True)\n input()"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([sys.executable, "-c", code, str(path)], **pipes)
        assert self.process.stdout.readline() == "held\n"

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        self.process.communicate("\n")


def test_each_reason_is_named(call, shelf) -> None:
    data = shelf.add("data")
    teacher = shelf.add("teacher", {"data": data})
    shipped = shelf.add("distill", {"data": data, "teacher": teacher})
    cell = shelf.add("distill", {"data": data})
    unused = shelf.add("distill", {"data": data})
    last = shelf.add("bench", {"data": data})
    shelf.store.remember("mine", "bench", last)
    shelf.store.point(shelf.home / "tags" / "shipped.json", shipped)
    shelf.store.point(shelf.home / "sweeps" / "losses" / "cells" / "idd-seed0.json", cell)
    rows, document = survey(call, shelf.home)
    assert rows[name_of(last)]["reasons"] == ["last of recipe mine/bench"]
    assert rows[name_of(shipped)]["reasons"] == ["tagged shipped"]
    assert rows[name_of(cell)]["reasons"] == ["cell losses/idd-seed0"]
    assert rows[name_of(teacher)]["reasons"] == [f"{name_of(shipped)} was made from it"]
    assert rows[name_of(data)]["keep"]
    assert not rows[name_of(unused)]["keep"]
    assert document["totals"]["go"]["count"] == 1


def test_dry_by_default(call, shelf) -> None:
    unused = shelf.add("teacher")
    code, out, _ = call("gc", "--home", shelf.home)
    assert code == 0 and "would go" in out and "nothing was touched: --apply" in out
    assert unused.folder.is_dir() and not (shelf.home / "trash").exists()


def test_what_is_moved_can_be_moved_back_and_is_deleted_only_with_the_trash(call, shelf) -> None:
    unused = shelf.add("teacher")
    _, document = survey(call, shelf.home, "--apply")
    assert not unused.folder.parent.exists()
    trashed = list((shelf.home / "trash").rglob("model.txt"))
    assert len(trashed) == 1
    key_folder = trashed[0].parent.parent
    assert key_folder.relative_to(document["trash"]["folder"]) == unused.folder.parent.relative_to(shelf.home)
    unused.folder.parent.parent.mkdir(parents=True, exist_ok=True)
    os.rename(key_folder, unused.folder.parent)
    assert shelf.store.current("teacher", unused.key).digest == unused.digest
    survey(call, shelf.home, "--apply")
    code, out, _ = call("gc", "--home", shelf.home, "--empty-trash", "--json")
    assert code == 0 and json.loads(out)["freed_bytes"] > 0
    assert not (shelf.home / "trash").exists()


def test_emptying_the_trash_touches_nothing_else(call, shelf) -> None:
    unused = shelf.add("teacher")
    assert call("gc", "--home", shelf.home, "--empty-trash")[0] == 0
    assert unused.folder.is_dir()
    assert call("gc", "--home", shelf.home, "--empty-trash", "--apply")[0] == 2


def test_the_newest_and_the_young_are_spared(call, shelf) -> None:
    old, new = shelf.add("teacher", days_old=40), shelf.add("teacher", days_old=10)
    rows, _ = survey(call, shelf.home, "--keep-last", "1")
    assert (rows[name_of(old)]["keep"], rows[name_of(new)]["keep"]) == (False, True)
    assert rows[name_of(new)]["reasons"] == ["among the 1 newest of its kind"]
    rows, _ = survey(call, shelf.home, "--older-than", "20")
    assert (rows[name_of(old)]["keep"], rows[name_of(new)]["keep"]) == (False, True)
    assert rows[name_of(new)]["reasons"] == ["younger than 20 days"]


def test_the_current_digest_of_a_kept_key_stays(call, shelf) -> None:
    tagged = shelf.add("bench")
    current = shelf.add("bench", key=tagged.key)
    shelf.store.point(shelf.home / "tags" / "first.json", tagged)
    rows, _ = survey(call, shelf.home)
    assert rows[name_of(current)]["reasons"] == [f"current under the key of {name_of(tagged)}"]


def test_only_one_digest_of_a_key_goes_and_the_key_stays(call, shelf) -> None:
    unused = shelf.add("bench")
    current = shelf.add("bench", key=unused.key)
    shelf.store.remember("mine", "bench", current)
    survey(call, shelf.home, "--apply")
    assert not unused.folder.exists()
    assert shelf.store.current("bench", current.key).digest == current.digest


def test_equal_outputs_under_another_key_count_as_the_input(call, shelf) -> None:
    first = shelf.add("data", content="same")
    teacher = shelf.add("teacher", {"data": first})
    survey(call, shelf.home, "--apply")
    assert not first.folder.exists()
    second = shelf.add("data", content="same")
    teacher = shelf.add("teacher", {"data": first})
    shelf.store.remember("mine", "teacher", teacher)
    rows, _ = survey(call, shelf.home)
    assert rows[name_of(second)]["reasons"] == [f"{name_of(teacher)} was made from it"]


def test_a_locked_key_and_what_its_run_may_read_stay(call, shelf) -> None:
    data, teacher, student = shelf.add("data"), shelf.add("teacher"), shelf.add("distill")
    with Holder(lock_path(shelf.home, "teacher", teacher.key)):
        rows, _ = survey(call, shelf.home, "--apply")
    assert rows[name_of(teacher)]["reasons"] == ["its key is locked by a run"]
    assert rows[name_of(data)]["reasons"] == ["a run that makes teacher may read it"]
    assert rows[name_of(student)]["moved"] and not student.folder.exists()
    assert teacher.folder.is_dir() and data.folder.is_dir()


def test_resume_state(call, shelf) -> None:
    published = shelf.add("teacher")
    folders = {}
    for name, key in (("published", published.key), ("fresh", "a" * 64), ("given up", "b" * 64), ("running", "c" * 64)):
        folders[name] = shelf.store.scratch("teacher", key)
        folders[name].mkdir(parents=True)
        (folders[name] / "state").write_text("weights")
    age(folders["given up"], 31 * 24 * HOUR_S)
    age(folders["running"], 31 * 24 * HOUR_S)
    with Holder(lock_path(shelf.home, "teacher", "c" * 64)):
        rows, _ = survey(call, shelf.home, "--apply")
    reasons = {name: rows[f"teacher {folder.name[:12]}"]["reasons"] for name, folder in folders.items()}
    assert reasons == {
        "published": ["its artifact is published"],
        "fresh": ["an interrupted run goes on from it"],
        "given up": ["an interrupted run, untouched for 31 days"],
        "running": ["its key is locked by a run"],
    }
    assert [name for name, folder in folders.items() if folder.exists()] == ["fresh", "running"]


def test_dead_work_folders(call, shelf) -> None:
    dead, fresh = shelf.store.new_work_folder(), shelf.store.new_work_folder()
    age(dead, 2 * HOUR_S)
    with Holder(lock_path(shelf.home, "teacher", "a" * 64)):
        rows, _ = survey(call, shelf.home)
    assert rows[dead.name[:12]]["reasons"] == ["a run is going on"]
    rows, _ = survey(call, shelf.home, "--apply")
    assert rows[dead.name[:12]]["reasons"] == ["left by a killed run"]
    assert fresh.is_dir() and not dead.exists()


def test_an_unreadable_manifest_is_left_to_the_doctor(call, shelf) -> None:
    broken = shelf.add("teacher")
    (broken.folder / "manifest.json").write_text("{")
    rows, _ = survey(call, shelf.home, "--apply")
    (row,) = rows.values()
    assert row["keep"] and "see doctor" in row["reasons"][0]
    assert broken.folder.is_dir()


@pytest.mark.parametrize("option", [("--keep-last", "-1"), ("--older-than", "x")])
def test_wrong_numbers(call, shelf, option) -> None:
    assert call("gc", "--home", shelf.home, *option)[0] == 2


def test_after_a_run_everything_is_kept(finished, call) -> None:
    rows, document = survey(call, finished[0])
    assert document["totals"]["go"]["count"] == 0 and len(rows) == 7


def test_an_empty_store_is_said_in_words(call, tmp_path) -> None:
    code, out, _ = call("gc", "--home", tmp_path)
    assert code == 0 and out.startswith(f"there is nothing in {tmp_path}\n")
