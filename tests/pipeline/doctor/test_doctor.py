"""What doctor finds, on this machine and on broken ones."""

import json
import shutil
import sys
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from pipeline.doctor import finding, packages, store
from pipeline.doctor.ask import ask
from pipeline.doctor.finding import Level
from stages.doctor import bf16, gpu


@pytest.fixture
def without_libraries(monkeypatch) -> None:
    """The examiners that start no torch and no onnxruntime."""
    light = [name for name in finding.EXAMINERS if name.startswith("pipeline.")]
    monkeypatch.setattr(finding, "EXAMINERS", light)


def examined(call, home, *words):
    """Exit code and findings by check."""
    code, out, err = call("doctor", "--home", home, "--json", *words)
    assert not err, err
    return code, {row["check"]: row for row in json.loads(out)}


def test_this_machine(pipeline, finished, call) -> None:
    code, out, _ = call(*pipeline.words("doctor", finished[0], "--json"))
    rows = {row["check"]: row for row in json.loads(out)}
    assert code == 0
    assert all(set(row) == {"check", "level", "found", "advice"} for row in rows.values())
    assert {row["level"] for row in rows.values()} <= {"ok", "warning", "missing"}
    assert all(row["advice"] for row in rows.values() if row["level"] != "ok")
    assert rows["torch"]["found"] == metadata.version("torch")
    assert rows["onnxruntime CPU"]["level"] == "ok"
    assert rows["Python"]["found"] == ".".join(map(str, sys.version_info[:3]))
    assert rows["artifacts"]["found"].startswith("7, ") and "not hashed" in rows["artifacts"]["found"]
    assert rows["requirements"]["found"]
    assert "the artifacts of one run took" in rows["free disk"]["found"]


@pytest.mark.usefixtures("without_libraries")
def test_nothing_is_left_where_there_is_no_store_yet(call, tmp_path) -> None:
    code, rows = examined(call, tmp_path / "home")
    assert code == 0 and "which the first run makes" in rows["store's file system"]["found"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("without_libraries")
def test_text_says_what_to_do(call, tmp_path) -> None:
    words = ("--set", "data.source=folder", "--set", f"data.root={tmp_path / 'nowhere'}")
    _, out, _ = call("doctor", "--home", tmp_path, *words)
    (line,) = (line for line in out.splitlines() if "data's files" in line)
    assert line.startswith("missing") and "nowhere" in line and "--set data.root=PATH" in line
    assert out.splitlines()[-1].split()[1].rstrip(",") == "ok"


@pytest.mark.usefixtures("without_libraries")
def test_a_damaged_store_is_described_and_not_fatal(call, shelf) -> None:
    broken, gone, lost = shelf.add("teacher"), shelf.add("distill"), shelf.add("data")
    for name, artifact in (("teacher", broken), ("distill", gone)):
        shelf.store.remember("quickstart", name, artifact)
    (broken.folder / "manifest.json").write_text("{")
    shutil.rmtree(gone.folder)
    (lost.folder.parent / "current").unlink()
    code, rows = examined(call, shelf.home)
    assert code == 0
    assert rows["artifact"]["level"] == "warning" and "verify --all" in rows["artifact"]["advice"]
    assert "recipe quickstart/distill" in rows["pointers"]["found"]
    assert rows["current files"]["level"] == "warning" and lost.key[:12] in rows["current files"]["found"]


@pytest.mark.usefixtures("without_libraries")
def test_too_little_disk(call, shelf, monkeypatch) -> None:
    shelf.store.remember("quickstart", "data", shelf.add("data", files={"image": "x" * 2000}))
    usage = shutil.disk_usage(shelf.home)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda place: usage._replace(free=1000))
    _, rows = examined(call, shelf.home)
    assert rows["free disk"]["level"] == "warning" and "gc" in rows["free disk"]["advice"]


@pytest.mark.usefixtures("without_libraries")
def test_a_file_system_without_locks_is_broken(call, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(store.fcntl, "flock", lambda file, mode: None)
    code, rows = examined(call, tmp_path)
    assert code == 1
    assert rows["store's file system"]["level"] == "broken"
    assert "a lock does not keep others out" in rows["store's file system"]["found"]


def test_a_clone_that_asks_for_more_than_was_installed(tmp_path) -> None:
    pyproject = tmp_path / "pyproject.toml"
    assert packages.asked_by(pyproject, ()).level is Level.OK
    pyproject.write_text(
        '[project]\ndependencies = ["torch>=2", "numpy >= 1"]\noptional-dependencies.s3 = ["s3fs>=2024"]\n'
    )
    installed = ["numpy>=1", "torch>=2", 's3fs>=2024; extra == "s3"']
    assert packages.asked_by(pyproject, installed).level is Level.OK
    found = packages.asked_by(pyproject, [*installed[1:], "numpy>=2"])
    assert found.level is Level.WARNING and found.found.endswith("differ in numpy")


def test_packages_too_old_or_missing() -> None:
    assert packages.needed(Requirement("pytest>=999")).level is Level.BROKEN
    assert packages.needed(Requirement("no-such-package>=1")).advice == "pip install 'no-such-package>=1'"
    assert packages.optional(Requirement("no-such-package>=1"), "s3").level is Level.MISSING
    assert packages.optional(Requirement("pytest>=999"), "s3").level is Level.WARNING
    assert packages.python(">=99").level is Level.BROKEN


@pytest.mark.parametrize(
    ("module", "function", "fault"),
    [
        ("os", "abort", "crashed with signal 6"),
        ("pipeline.errors", "no_such_function", "no_such_function"),
        ("no_such_module", "anything", "No module named 'no_such_module'"),
    ],
)
def test_a_library_that_fails_takes_nothing_with_it(module: str, function: str, fault: str) -> None:
    answer = ask(module, function)
    assert answer.value is None and fault in answer.fault


def test_an_answer_comes_back_with_its_arguments() -> None:
    assert ask("posixpath", "join", "a", "b").value == "a/b"


def test_what_torch_sees_against_the_driver() -> None:
    without = {"cuda": "13.0", "gpus": [], "bf16": {"cpu": False, "cuda": False}}
    assert gpu(False, without).level is Level.MISSING
    seen = gpu(True, without)
    assert seen.level is Level.WARNING and "older than CUDA 13.0" in seen.found
    assert "for the CPU" in gpu(True, {**without, "cuda": None}).found
    assert gpu(True, {**without, "gpus": ["NVIDIA H100"]}).level is Level.OK
    assert bf16(without).level is Level.MISSING
    assert bf16({**without, "bf16": {"cpu": True, "cuda": False}}).found.startswith("native on cpu")
