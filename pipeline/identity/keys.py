"""What an artifact is made from, by name; the key is the hash of that."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.errors import RecipeError
from pipeline.identity.statcache import StatCache
from pipeline.stage import AbsentAt, Mark

SCHEMA = 2
"""Raised when the engine itself would make different artifacts from the same components."""


def key_of(components: Mapping[str, Any]) -> str:
    """sha256 over the components, as canonical JSON."""
    text = json.dumps(components, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sha256(content: bytes) -> str:
    """Hex digest of a file's content."""
    return hashlib.sha256(content).hexdigest()


def config_identity(config: BaseModel, cache: StatCache, where: str) -> dict[str, Any]:
    """The fields that count: machine and neutral ones left out, files replaced by their digest."""
    identity: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        marks = {m for m in field.metadata if isinstance(m, Mark)}
        if marks & {Mark.MACHINE, Mark.NEUTRAL} or AbsentAt(value) in field.metadata:
            continue
        if Mark.CONTENT in marks and isinstance(value, Path):
            identity[name] = content_identity(value, cache, f"{where}.{name}")
        elif isinstance(value, BaseModel):
            identity[name] = config_identity(value, cache, f"{where}.{name}")
        elif isinstance(value, Mapping) and any(isinstance(v, BaseModel) for v in value.values()):
            identity[name] = {k: config_identity(v, cache, f"{where}.{name}.{k}") for k, v in value.items()}
        else:
            identity[name] = config.model_dump(mode="json", include={name})[name]
    return identity


def content_identity(path: Path, cache: StatCache, where: str) -> str:
    """Digest of a file that a config names."""
    if not path.is_file():
        raise RecipeError(f"{where}: no file {path}; give its path with --set {where}=PATH")
    return f"sha256:{cache.get(path.resolve(), sha256)}"


def sources_identity(digests: Mapping[str, str]) -> str:
    """One digest over files outside the store, by relative name and content."""
    return key_of({"files": [list(row) for row in sorted(digests.items())]})


def machine_settings(configs: Mapping[str, BaseModel]) -> dict[str, Any]:
    """Every field that is marked as a setting of the machine, by dotted name."""
    return {
        f"{stage}.{name}": getattr(config, name)
        for stage, config in configs.items()
        for name, field in type(config).model_fields.items()
        if Mark.MACHINE in field.metadata
    }
