"""The JSON file beside every exported file: what it is, what it takes and gives."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sidecar_of(path: Path) -> Path:
    """`student.fp32.labels.onnx` -> `student.fp32.labels.onnx.json`."""
    return path.with_name(path.name + ".json")


def write_sidecar(path: Path, description: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a file that is complete: its name, sha256 and size, then `description`; returns it all."""
    identity = {"file": path.name, "sha256": sha256(path), "bytes": path.stat().st_size}
    sidecar = {**identity, **description}
    sidecar_of(path).write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")
    return sidecar


def read_sidecar(path: Path) -> dict[str, Any]:
    """The description of an exported file."""
    description: dict[str, Any] = json.loads(sidecar_of(path).read_text(encoding="utf-8"))
    return description
