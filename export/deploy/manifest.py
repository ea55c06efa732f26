"""The manifest of a bundle: what lies in the folder, what it takes and gives, and proof that it is unchanged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.errors import StoreError
from stages.preprocess import Preprocess

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
SEAL = "manifest_sha256"
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Bundle:
    """A folder that `read_bundle` has checked."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def preprocess(self) -> Preprocess:
        """How a picture becomes the network's input."""
        return Preprocess.from_json(self.manifest["preprocess"])

    @property
    def classes(self) -> list[dict[str, Any]]:
        """`id`, `name` and `rgb` of every class."""
        return list(self.manifest["classes"])

    @property
    def palette(self) -> np.ndarray:
        """uint8 256 x 3: the colour of each class id, black for the others."""
        colours = np.zeros((256, 3), dtype=np.uint8)
        for row in self.classes:
            colours[row["id"]] = row["rgb"]
        return colours

    def form(self, form: str, output: str) -> Mapping[str, Any]:
        """The entry of one ONNX file; StoreError that lists what there is."""
        for entry in self.manifest["forms"]:
            if (entry["form"], entry["output"]["name"]) == (form, output):
                return dict(entry)
        known = ", ".join(f"{entry['form']} {entry['output']['name']}" for entry in self.manifest["forms"])
        raise StoreError(f"this bundle has no form {form} with output {output}: it has {known}")

    def golden(self) -> tuple[np.ndarray, np.ndarray]:
        """The golden picture (uint8 1 x H x W x 3) and its labels (uint8 1 x H x W)."""
        image, labels = (Image.open(self.folder / self.manifest["golden"][name]) for name in ("image", "labels"))
        return np.array(image.convert("RGB"))[None], np.array(labels)[None]


def read_bundle(folder: Path) -> Bundle:
    """The bundle in a folder, every file of it hashed; StoreError naming the first that is not as it was made."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}; copy the whole bundle again") from error
    if manifest.get("schema_version") != SCHEMA_VERSION:
        found = manifest.get("schema_version")
        raise StoreError(f"{path} has schema_version {found}, these programs read {SCHEMA_VERSION}: use its own ones")
    if manifest.get(SEAL) != seal_of(manifest):
        raise StoreError(f"{path} was changed after the bundle was made: copy it again")
    for name, described in manifest["files"].items():
        if not (folder / name).is_file():
            raise StoreError(f"{name} is missing from the bundle: copy it again")
        if sha256(folder / name) != described["sha256"]:
            raise StoreError(f"{name} is not the file that the bundle was made with: copy it again")
    return Bundle(folder, manifest)


def seal_of(manifest: Mapping[str, Any]) -> str:
    """sha256 over everything else that a manifest says: a changed byte in it shows."""
    plain = {name: value for name, value in manifest.items() if name != SEAL}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
