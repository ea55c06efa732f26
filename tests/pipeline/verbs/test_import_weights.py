"""`import-weights`, and the way of an existing teacher into a run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def trained(pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home of a tiny run up to the teacher."""
    home = tmp_path_factory.mktemp("trained")
    done = pipeline("run", home, "--until", "teacher")
    assert done.returncode == 0, done.stderr
    return home


def teachers(home: Path) -> dict[str, Path]:
    """Folder of each teacher by digest."""
    return {path.parent.name: path.parent for path in home.glob("store/teacher/*/*/manifest.json")}


def verb(pipeline, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline", "import-weights", *map(str, arguments)]
    return subprocess.run(command, cwd=pipeline.root, capture_output=True, text=True, timeout=120)


def test_an_existing_teacher_is_evaluated_and_published_as_it_is(pipeline, trained, tmp_path) -> None:
    import torch
    from safetensors.torch import load_file

    (digest,) = teachers(trained)
    original = teachers(trained)[digest]
    state = load_file(original / "model.safetensors")
    wrapped = {f"module.{key.replace('backbone.', 'encoder.', 1)}": tensor for key, tensor in state.items()}
    torch.save({"epoch": 3, "state_dict": wrapped}, tmp_path / "teacher.pth")
    target = tmp_path / "teacher.safetensors"
    done = verb(pipeline, tmp_path / "teacher.pth", target, "--map", "encoder=backbone", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["inside"] == "state_dict" and report["stripped"] == ["module."] and report["tensors"] == len(state)

    changes = {"teacher__weights": str(target), "teacher__iterations": "0"}
    done = pipeline("run", trained, "--until", "teacher", **changes)
    assert done.returncode == 0, done.stderr
    published = next(folder for found, folder in teachers(trained).items() if found != digest)
    for name in ("model.safetensors", "metrics.json", "labels.json", "preprocess.json"):
        assert (published / name).read_bytes() == (original / name).read_bytes(), name
    was, now = (json.loads((folder / "config.json").read_text()) for folder in (original, published))
    assert was.pop("weights")["steps"] == 3 and now == was, "which steps made the weights is not known of a file"
    assert now["aux_head"] is True
    assert json.loads((published / "weights_report.json").read_text())["initial"] == []
    done = pipeline("status", trained, "--json", **changes)
    assert {row["stage"]: row["state"] for row in json.loads(done.stdout)}["teacher"] == "current"


def test_a_teacher_without_its_auxiliary_head_is_published_without(pipeline, trained, tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    original = next(iter(teachers(trained).values()))
    state = load_file(original / "model.safetensors")
    save_file({key: t for key, t in state.items() if not key.startswith("aux_head.")}, tmp_path / "t.safetensors")
    changes = {"teacher__weights": str(tmp_path / "t.safetensors"), "teacher__iterations": "0"}
    changes["teacher__weights_policy"] = "matching"
    done = pipeline("run", trained, "--until", "teacher", "--json", **changes)
    assert done.returncode == 0, done.stderr
    (row,) = [row for row in json.loads(done.stdout) if row["stage"] == "teacher"]
    published = teachers(trained)[row["digest"]]
    assert json.loads((published / "config.json").read_text())["aux_head"] is False
    assert (published / "metrics.json").read_bytes() == (original / "metrics.json").read_bytes()


def test_a_part_of_a_teacher_is_not_published_as_a_whole(pipeline, trained, tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(next(iter(teachers(trained).values())) / "model.safetensors")
    save_file({key: t for key, t in state.items() if not key.startswith("head.")}, tmp_path / "part.safetensors")
    changes = {"teacher__weights": str(tmp_path / "part.safetensors"), "teacher__iterations": "0"}
    changes["teacher__weights_policy"] = "matching"
    done = pipeline("run", trained, "--until", "teacher", **changes)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "part.safetensors leaves" in done.stderr and "must come whole" in done.stderr


def test_the_report_is_readable(pipeline, tmp_path) -> None:
    import torch

    norm = {f"module.bn.{name}": torch.tensor([-1.0]) for name in ("weight", "bias", "running_mean", "running_var")}
    torch.save({"model": {**norm, "version": 2}}, tmp_path / "in.pth")
    done = verb(pipeline, tmp_path / "in.pth", tmp_path / "out.safetensors", "--inplace-abn", "--map", "bn=norm")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{tmp_path / 'out.safetensors'}: 4 tensors (4 float32), 2 parameters",
        f"taken from the entry model of {tmp_path / 'in.pth'}",
        "taken off every key: module.",
        "bn=norm: 4 keys renamed",
        "1 batch norms: weight w became |w| + eps",
        "dropped version: int",
    ]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--map", "encoder"), "write OLD=NEW"),
        (("--map", "="), "write OLD=NEW"),
        (("--inplace-abn-eps", "0.1"), "goes with --inplace-abn"),
        ((), "no file"),
    ],
)
def test_mistakes_are_one_line(pipeline, tmp_path, arguments, part) -> None:
    done = verb(pipeline, tmp_path / "in.pth", tmp_path / "out.safetensors", *arguments)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and part in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_comes_without_torch(pipeline) -> None:
    code = (
        "import sys; sys.argv = ['pipeline', 'import-weights', '--help']\n"
        "from pipeline.cli import main\n"
        "code = main()\n"
        "assert not {'torch', 'stages', 'fsspec'} & set(sys.modules)\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=pipeline.root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "|w| + eps" in done.stdout, done.stderr
