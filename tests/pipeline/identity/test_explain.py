"""Every change of what a stage is made from names itself, and what changes nothing leaves everything current."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import recipe as recipes
from pipeline.facts import facts
from pipeline.identity.explain import changes, summary
from pipeline.identity.fingerprint import Reached
from pipeline.plan import Planner, State
from pipeline.store.store import Store

TRAINED = ("teacher", "position", "distill")


def states(pipeline, home: Path, **changes: str) -> dict[str, str]:
    done = pipeline("status", home, "--json", **changes)
    assert done.returncode == 0, done.stderr
    return {row["stage"]: row["state"] for row in json.loads(done.stdout)}


def explained(pipeline, home: Path, stage: str, **changes: str) -> list[str]:
    done = pipeline("explain", home, stage, "--json", **changes)
    assert done.returncode == 0, done.stderr
    return [change["text"] for change in json.loads(done.stdout)["changes"]]


def edit(root: Path, file: str, old: str, new: str) -> None:
    path = root / file
    text = path.read_text()
    assert old in text, f"{file} no longer holds {old!r}"
    path.write_text(text.replace(old, new, 1))


def test_leaves_are_named_with_old_and_new() -> None:
    old = {"config": {"lr": 0.1, "student": {"net": "a"}}, "code": {"stages.x": "0" * 64}}
    new = {"config": {"lr": 0.2, "student": {"net": "a"}}, "code": {"stages.x": "1" * 64}}
    reached = {"stages.top": Reached("", None), "stages.x": Reached("", "stages.top")}
    assert [change.text() for change in changes(old, new, reached)] == [
        "config.lr: 0.1 -> 0.2",
        "code.stages.x: 000000000000 -> 111111111111 (stages.top > stages.x)",
    ]


def test_a_long_list_of_changes_is_cut_in_status() -> None:
    found = changes({"config": {}}, {"config": dict.fromkeys("abcde", 1)})
    assert summary(found) == (*(f"config.{n}: none -> 1" for n in "abc"), "and 2 more: see explain")


def test_a_changed_setting(pipeline, finished) -> None:
    assert explained(pipeline, finished[0], "distill", distill__lr="0.02") == ["config.lr: 0.03 -> 0.02"]


def test_what_follows_from_another_method_stands_below_it(pipeline, finished) -> None:
    home = finished[0]
    done = pipeline("explain", home, "distill", "--json", distill__method="skd")
    changed = json.loads(done.stdout)["changes"]
    assert [c["text"] for c in changed if not c["follows"]] == ["config.method: idd -> skd"]
    following = [(c["component"], c["name"]) for c in changed if c["follows"]]
    assert {("inputs", "position"), ("code", "stages.losses.inter_class")} <= set(following)
    assert {component for component, _ in following} == {"choices", "code", "inputs"}
    lines = pipeline("explain", home, "distill", distill__method="skd").stdout.splitlines()
    assert lines[1:3] == ["  config.method: idd -> skd", "  because of it:"]
    assert len(lines) == 3 + len(following) and all(line.startswith("    ") for line in lines[3:])
    status = json.loads(pipeline("status", home, "--json", distill__method="skd").stdout)
    assert [row["reasons"] for row in status if row["stage"] == "distill"] == [["config.method: idd -> skd"]]


def test_edited_code_is_a_cause_beside_another_method(checkout) -> None:
    pipeline, home = checkout
    path = pipeline.root / "stages/losses/fit.py"
    path.write_text(path.read_text() + "\nADDED = 1\n")
    done = pipeline("explain", home, "distill", "--json", distill__method="skd")
    changed = json.loads(done.stdout)["changes"]
    assert [(c["component"], c["name"]) for c in changed if not c["follows"]] == [
        ("config", "method"),
        ("code", "stages.losses.fit"),
    ]


def test_a_changed_helper_two_imports_away_is_named_with_the_way_to_it(checkout) -> None:
    pipeline, home = checkout
    edit(pipeline.root, "export/parity.py", "\nMARGIN = 1e-3", "\nMARGIN = 2e-3")
    (line,) = explained(pipeline, home, "export.onnx")
    assert line.startswith("code.export.parity: ")
    assert "(export.onnx > " in line and line.endswith(" > export.parity)")


def make_folder(root: Path) -> None:
    for i in range(6):
        for folder, shape in (("images", (32, 48, 3)), ("labels", (32, 48))):
            (root / folder).mkdir(parents=True, exist_ok=True)
            value = i if folder == "images" else i % 2
            Image.fromarray(np.full(shape, value, np.uint8)).save(root / folder / f"{i}.png")
    (root / "classes.csv").write_text("id,name,r,g,b,ignore\n0,road,1,2,3,0\n1,sky,4,5,6,0\n")
    for split, ids in {"train": "0123", "val": "4", "test": "5"}.items():
        (root / f"{split}.txt").write_text("".join(f"images/{i}.png labels/{i}.png\n" for i in ids))


@pytest.fixture
def folder_data(pipeline, tmp_path) -> tuple[Path, Path, dict[str, str]]:
    """A folder of images, a home with its data artifact, and the settings that lead to it."""
    root, home = tmp_path / "set", tmp_path / "home"
    make_folder(root)
    settings = {"data__source": "folder", "data__root": str(root), "data__size_px": "[32, 48]"}
    done = pipeline("run", home, "--until", "data", **settings)
    assert done.returncode == 0, done.stderr
    return root, home, settings


def test_a_changed_label_file_is_named(pipeline, folder_data) -> None:
    root, home, settings = folder_data
    Image.fromarray(np.zeros((32, 48), np.uint8)).save(root / "labels" / "3.png")
    (line,) = explained(pipeline, home, "data", **settings)
    assert line.startswith("sources.labels/3.png: ") and " -> " in line


def test_a_moved_data_set_is_the_same_data_set(pipeline, folder_data) -> None:
    root, home, settings = folder_data
    moved = root.rename(root.with_name("elsewhere"))
    assert states(pipeline, home, **{**settings, "data__root": str(moved)})["data"] == "current"


def test_an_absent_source_leaves_its_artifact_current_and_stops_who_opens_images(pipeline, folder_data) -> None:
    root, home, settings = folder_data
    root.rename(root.with_name("elsewhere"))
    assert states(pipeline, home, **settings)["data"] == "current (source absent)"
    again = pipeline("run", home, "--until", "data", **settings)
    assert again.returncode == 0 and "current (source absent)" in again.stdout
    done = pipeline("run", home, "--until", "teacher", **settings)
    assert done.returncode == 2 and str(root) in done.stderr and "Traceback" not in done.stderr


def test_an_absent_source_does_not_excuse_another_setting(pipeline, folder_data) -> None:
    root, home, settings = folder_data
    root.rename(root.with_name("elsewhere"))
    assert states(pipeline, home, **{**settings, "data__size_px": "[16, 16]"})["data"] == "missing"


def board(pipeline, home: Path, tensorrt: str) -> Planner:
    """The planner of a machine with a GPU and that TensorRT."""
    settings = [f"{name}={value}" for name, value in pipeline.settings().items()]
    known = {**facts(), "gpu": True, "gpu_name": "Orin", "driver": "540.4", "tensorrt": tensorrt}
    return Planner(recipes.load("quickstart", settings), Store(home), known)


def test_a_changed_tensorrt_version(checkout) -> None:
    pipeline, home = checkout
    planner = board(pipeline, home, "10.3.0")
    status = planner.statuses()["export.tensorrt"]
    assert status.state is State.MISSING and status.key
    work = planner.store.new_work_folder()
    (work / "student.plan").write_bytes(b"plan")
    manifest = {"kind": "export.tensorrt", "key": status.key, "components": dict(status.components), "summary": {}}
    engine = planner.store.publish(work, manifest, set())
    planner.store.remember("quickstart", "export.tensorrt", engine)
    assert board(pipeline, home, "10.3.0").statuses()["export.tensorrt"].state is State.CURRENT
    stale = board(pipeline, home, "10.16.1").statuses()["export.tensorrt"]
    assert stale.reasons == ("environment.tensorrt: 10.3.0 -> 10.16.1",)


def test_another_power_mode_is_measured_again(pipeline, finished) -> None:
    settings = [f"{name}={value}" for name, value in pipeline.settings().items()]
    for mode, state in ((facts()["power_mode"], State.CURRENT), (99, State.STALE)):
        planner = Planner(recipes.load("quickstart", settings), Store(finished[0]), {**facts(), "power_mode": mode})
        statuses = planner.statuses()
        assert (statuses["distill"].state, statuses["bench"].state) == (State.CURRENT, state)
    (reason,) = statuses["bench"].reasons
    assert reason.startswith("environment.power_mode: ") and reason.endswith(" -> 99")


def test_comments_docstrings_and_layout_change_nothing(checkout) -> None:
    pipeline, home = checkout
    edit(pipeline.root, "stages/losses/maps.py", "import torch\n", "# A comment.\nimport torch\n\n\n")
    edit(pipeline.root, "stages/losses/maps.py", "Bilinear, corners aligned", "With aligned corners, bilinear")
    assert set(states(pipeline, home).values()) <= {"current", "skipped"}
    assert "distill: current" in pipeline("explain", home, "distill").stdout


@pytest.mark.parametrize("package", ["bench", "export"])
def test_code_behind_the_student_leaves_the_student_current(checkout, package) -> None:
    pipeline, home = checkout
    for path in (pipeline.root / package).rglob("*.py"):
        path.write_text(path.read_text() + "\nADDED = 1\n")
    found = states(pipeline, home)
    assert [found[name] for name in TRAINED] == ["current"] * 3
    assert "stale" in found.values()


def test_a_new_network_leaves_the_others_current(checkout) -> None:
    pipeline, home = checkout
    (pipeline.root / "stages/nets/newnet.py").write_text("def newnet(classes):\n    raise NotImplementedError\n")
    with (pipeline.root / "stages/nets/catalogue.toml").open("a") as catalogue:
        catalogue.write('\n[newnet]\nmodule = "stages.nets.newnet"\nbuilder = "newnet"\n')
    assert set(states(pipeline, home).values()) <= {"current", "skipped"}
    assert explained(pipeline, home, "distill", distill__student__net="newnet", distill__student__args="{}")


def test_a_changed_entry_of_the_catalogue_is_seen(checkout) -> None:
    pipeline, home = checkout
    edit(pipeline.root, "stages/nets/catalogue.toml", "{ depth = 18 }", "{ depth = 34 }")
    assert "choices.net.args.depth: 18 -> 34" in explained(pipeline, home, "distill")


def test_a_stage_that_waits_tells_what_it_waits_for(pipeline, finished) -> None:
    done = pipeline("explain", finished[0], "distill", teacher__lr="0.02")
    assert "waits for teacher" in done.stdout and "config.lr: 0.03 -> 0.02" in done.stdout


def test_two_things_that_changed_are_two_lines(pipeline, finished) -> None:
    lines = explained(pipeline, finished[0], "distill", distill__lr="0.02", distill__seed="7")
    assert lines == ["config.lr: 0.03 -> 0.02", "config.seed: 0 -> 7"]


def test_equal_outputs_leave_what_follows_current(checkout) -> None:
    """More threads that write give the same bytes: early cutoff."""
    pipeline, home = checkout
    edit(pipeline.root, "stages/datasets/synthetic.py", "WRITERS = 2", "WRITERS = 1")
    before = states(pipeline, home)
    assert before["data"] == "stale" and before["teacher"] == "stale"
    assert pipeline("run", home, "--until", "data").returncode == 0
    assert set(states(pipeline, home).values()) <= {"current", "skipped"}
