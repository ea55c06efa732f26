"""What a command line's MODEL stands for: one file to measure, or several.

student.onnx  engines/student.plan        a file; an engine with its description beside it
out/board  board.tar.gz                   a bundle, as a folder or packed: its ONNX files, and engines built in it
.pipeline/store/distill/KEY/DIGEST        the folder of an artifact, or any that holds such files
distill  export.onnx@ab12  tag:shipped    an artifact by reference
"""

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from export.deploy.choose import engine_path
from export.deploy.engine_file import description_of
from export.deploy.manifest import MANIFEST, read_bundle
from export.sidecar import sidecar_of
from pipeline.errors import NetworkError, StoreError
from stages.preprocess import Preprocess

Kind = Literal["onnx", "engine", "network"]
KINDS: dict[str, Kind] = {".onnx": "onnx", ".plan": "engine", ".engine": "engine"}
"""By the suffix of a file; a trained network is a folder."""
WORDS: dict[Kind, str] = {"onnx": "an ONNX file", "engine": "a TensorRT engine", "network": "a trained network"}
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".zip")
WEIGHTS, CONFIG, PREPROCESS = "model.safetensors", "config.json", "preprocess.json"
"""Files of a trained network's folder."""


@dataclass(frozen=True)
class Model:
    """One thing that a runtime can run."""

    name: str
    """As tables show it: unique among those that are measured together."""
    asked: str
    """The MODEL by which it was named."""
    path: Path
    """The file, or the folder of a trained network."""
    kind: Kind
    preprocess: Preprocess | None = None
    """How a picture becomes its input, where its maker said so."""
    picture: Path | None = None
    """One that came along."""

    @property
    def file(self) -> Path:
        """The file whose digest is its identity."""
        return self.path / WEIGHTS if self.kind == "network" else self.path


def models_of(asked: str, resolve: Callable[[str], Path], unpacked: Path) -> list[Model]:
    """What MODEL names, at least one; PipelineError that says why it is nothing to measure.

    `resolve` gives the folder of an artifact by its reference; `unpacked` is an empty folder for an archive's content.
    """
    path = Path(asked)
    if path.is_file():
        return of_archive(path, asked, unpacked) if asked.lower().endswith(ARCHIVES) else [of_file(path, asked)]
    if path.is_dir() and (found := of_folder(path, asked)):
        return found
    if path.suffix in KINDS or asked.lower().endswith(ARCHIVES):
        raise StoreError(f"no file {path}")
    if path.is_dir() and not is_reference(asked):
        raise StoreError(f"{path} holds neither ONNX files, engines nor a trained network")
    folder = resolve(asked)
    return of_folder(folder, asked) or nothing(asked, folder)


def is_reference(asked: str) -> bool:
    """Whether a folder's name may be meant as the name of a stage."""
    from pipeline.graph import BY_NAME

    return asked in BY_NAME


def nothing(asked: str, folder: Path) -> list[Model]:
    """StoreError for an artifact of something else."""
    raise StoreError(f"{asked} is {folder}, which holds neither ONNX files, engines nor a trained network")


def of_file(path: Path, asked: str) -> Model:
    """An ONNX file or an engine by its suffix; NetworkError for any other."""
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise NetworkError(f"{path} is no model: give {', '.join(KINDS)}, or a bundle as {', '.join(ARCHIVES)}")
    return Model(path.stem, asked, path, kind, preprocess_of(path))


def preprocess_of(path: Path) -> Preprocess | None:
    """The rule in a file's sidecar or an engine's description; None where there is none."""
    beside = (sidecar_of if path.suffix == ".onnx" else description_of)(path)
    if not beside.is_file():
        return None
    found = read_json(beside).get("preprocess")
    return Preprocess.from_json(found) if found else None


def read_json(path: Path) -> Any:
    """A JSON file; StoreError for one that is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{path} is no JSON: {error}") from error


def of_archive(path: Path, asked: str, unpacked: Path) -> list[Model]:
    """A packed bundle; StoreError for an archive of anything else."""
    try:
        # The filter keeps a tar's files below the folder; zipfile does so by itself and takes no filter.
        if path.suffix == ".zip":
            shutil.unpack_archive(path, unpacked)
        else:
            shutil.unpack_archive(path, unpacked, filter="data")
    except Exception as error:
        # shutil, tarfile, zipfile and the decompressors share no base.
        raise StoreError(f"{path} cannot be unpacked: {' '.join(str(error).split())}") from error
    found = sorted(unpacked.rglob(MANIFEST), key=lambda manifest: len(manifest.parts))
    if not found:
        raise StoreError(f"{path} is no packed bundle: it has no {MANIFEST}")
    return of_folder(found[0].parent, asked) or nothing(asked, path)


def of_folder(folder: Path, asked: str) -> list[Model]:
    """The models of a bundle, or the files and the network that lie in a folder; empty where there are none."""
    manifest = folder / MANIFEST
    if manifest.is_file() and "forms" in read_json(manifest):
        return of_bundle(folder, asked)
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in KINDS)
    found = [of_file(path, asked) for path in files]
    if (folder / WEIGHTS).is_file() and (folder / CONFIG).is_file():
        rule = folder / PREPROCESS
        preprocess = Preprocess.from_json(read_json(rule)) if rule.is_file() else None
        found.append(Model(name_of(asked), asked, folder, "network", preprocess))
    return found


def name_of(asked: str) -> str:
    """A reference as it was given; of a path its last part."""
    return Path(asked).name if Path(asked).is_dir() else asked


def of_bundle(folder: Path, asked: str) -> list[Model]:
    """Every ONNX file of a bundle and the engine that was built from it, the bundle being whole."""
    bundle = read_bundle(folder)
    picture = folder / bundle.manifest["golden"]["image"]
    found = []
    for form in bundle.manifest["forms"]:
        for path in (folder / form["file"], engine_path(bundle, form["file"])):
            if path.is_file():
                kind = KINDS[path.suffix]
                found.append(Model(path.stem, asked, path, kind, bundle.preprocess, picture))
    return found


def named_apart(models: Sequence[Model]) -> list[Model]:
    """The same with names of which no two are equal for one kind: where they were, MODEL stands before the name."""
    found = with_names(models, (f"{m.asked} {m.name}" if twice(m, models) else m.name for m in models))
    return with_names(found, (str(m.path) if twice(m, found) else m.name for m in found))


def with_names(models: Sequence[Model], names: Iterable[str]) -> list[Model]:
    """The models under other names."""
    return [replace(model, name=name) for model, name in zip(models, names, strict=True)]


def twice(model: Model, models: Sequence[Model]) -> bool:
    """Whether another of its kind has its name."""
    return sum((m.name, m.kind) == (model.name, model.kind) for m in models) > 1
