"""What MODEL stands for."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.latency.models import Model, models_of, named_apart
from pipeline.errors import NetworkError, PipelineError, StoreError
from stages.preprocess import Preprocess

RULE = Preprocess(32, 64)


def unknown(reference: str) -> Path:
    raise StoreError(f"no {reference}")


def found(asked: Path | str, tmp_path: Path, resolve: Callable[[str], Path] = unknown) -> list[Model]:
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir(exist_ok=True)
    return models_of(str(asked), resolve, unpacked)


def bundle(folder: Path) -> Path:
    """The least that is a bundle: one file, one engine that was built on the board."""
    from export.deploy.manifest import SEAL, seal_of, sha256

    (folder / "engines").mkdir(parents=True)
    (folder / "a.onnx").write_bytes(b"onnx")
    (folder / "engines" / "a.plan").write_bytes(b"plan")
    manifest = {
        "schema_version": 1,
        "forms": [{"file": "a.onnx"}],
        "preprocess": RULE.to_json(),
        "golden": {"image": "golden/image.png"},
        "files": {"a.onnx": {"sha256": sha256(folder / "a.onnx")}},
    }
    manifest[SEAL] = seal_of(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_file_is_itself_with_the_rule_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.touch()
    assert found(path, tmp_path) == [Model("a", str(path), path, "onnx")]
    path.with_name("a.onnx.json").write_text(json.dumps({"preprocess": RULE.to_json()}))
    assert found(path, tmp_path)[0].preprocess == RULE


def test_a_bundle_gives_its_files_and_the_engines_built_in_it(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "board")
    models = found(folder, tmp_path)
    assert [(model.path.name, model.kind, model.preprocess) for model in models] == [
        ("a.onnx", "onnx", RULE),
        ("a.plan", "engine", RULE),
    ]
    assert models[0].picture == folder / "golden/image.png"


@pytest.mark.parametrize(("form", "suffix"), [("gztar", ".tar.gz"), ("zip", ".zip"), ("tar", ".tar")])
def test_a_packed_bundle_is_one(tmp_path: Path, form: str, suffix: str) -> None:
    bundle(tmp_path / "in" / "board")
    shutil.make_archive(str(tmp_path / "board"), form, tmp_path / "in")
    models = found(tmp_path / f"board{suffix}", tmp_path)
    assert [model.path.name for model in models] == ["a.onnx", "a.plan"]


def test_a_changed_bundle_is_refused(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "board")
    (folder / "a.onnx").write_bytes(b"other")
    with pytest.raises(StoreError, match="not the file that the bundle was made with"):
        found(folder, tmp_path)


def test_an_artifact_s_folder_gives_its_network_or_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    folder.mkdir()
    for name in ("model.safetensors", "config.json"):
        (folder / name).touch()
    (folder / "preprocess.json").write_text(json.dumps(RULE.to_json()))
    (model,) = found("distill", tmp_path, lambda reference: folder)
    assert (model.name, model.kind, model.preprocess) == ("distill", "network", RULE)
    assert model.file == folder / "model.safetensors"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("text.txt", "text.txt is no model: give .onnx"),
        ("absent.onnx", "no file .*absent.onnx"),
        ("broken.tar.gz", "cannot be unpacked"),
        ("other.zip", "no packed bundle"),
        ("empty", "holds neither ONNX files, engines nor a trained network"),
        ("tag:x", "no tag:x"),
    ],
)
def test_what_is_no_model_is_told(tmp_path: Path, asked: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").touch()
    (tmp_path / "broken.tar.gz").write_bytes(b"no archive")
    (tmp_path / "empty").mkdir()
    shutil.make_archive("other", "zip", tmp_path / "empty")
    with pytest.raises(PipelineError, match=told):
        found(asked, tmp_path)


def test_a_folder_named_as_a_stage_gives_way_to_the_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "distill").mkdir()
    with pytest.raises(StoreError, match="no distill"):
        found("distill", tmp_path)


def test_equal_names_are_told_apart_by_what_was_asked() -> None:
    models = [Model("a", asked, Path(asked), "onnx") for asked in ("x/a.onnx", "y/a.onnx")]
    engine = Model("a", "a.plan", Path("a.plan"), "engine")
    assert [model.name for model in named_apart([*models, engine])] == ["x/a.onnx a", "y/a.onnx a", "a"]


def test_a_rule_that_this_program_does_not_do_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").touch()
    (tmp_path / "a.onnx.json").write_text("no json")
    with pytest.raises((StoreError, NetworkError), match="no JSON"):
        found(tmp_path / "a.onnx", tmp_path)
