"""What an artifact is made from, by name; the key is the hash of that."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.errors import RecipeError
from pipeline.stage import Mark
from pipeline.statcache import StatCache

SCHEMA = 1
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
        if marks & {Mark.MACHINE, Mark.NEUTRAL}:
            continue
        if isinstance(value, BaseModel):
            identity[name] = config_identity(value, cache, f"{where}.{name}")
        elif Mark.CONTENT in marks and isinstance(value, Path):
            identity[name] = content_identity(value, cache, f"{where}.{name}")
        else:
            identity[name] = config.model_dump(mode="json", include={name})[name]
    return identity


def content_identity(path: Path, cache: StatCache, where: str) -> str:
    """Digest of a file that a config names."""
    if not path.is_file():
        raise RecipeError(f"{where}: no file {path}; give its path with --set {where}=PATH")
    return f"sha256:{cache.get(path.resolve(), sha256)}"


def sources_identity(files: Mapping[str, Path], cache: StatCache) -> str:
    """One digest over files outside the store, by relative name and content."""
    rows = [[name, cache.get(path, sha256)] for name, path in sorted(files.items())]
    return key_of({"files": rows})


def machine_settings(configs: Mapping[str, BaseModel]) -> dict[str, Any]:
    """Every field that is marked as a setting of the machine, by dotted name."""
    return {
        f"{stage}.{name}": getattr(config, name)
        for stage, config in configs.items()
        for name, field in type(config).model_fields.items()
        if Mark.MACHINE in field.metadata
    }


def changes(old: Any, new: Any, where: str = "") -> list[str]:
    """`name: old -> new` for every leaf in which two components differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = sorted({*old, *new})
        below = [(f"{where}.{n}" if where else n, old.get(n), new.get(n)) for n in names]
        return [line for name, a, b in below if a != b for line in changes(a, b, name)]
    return [f"{where}: {short(old)} -> {short(new)}"]


def short(value: Any) -> str:
    """A leaf for one line: digests cut to twelve characters."""
    text = "none" if value is None else str(value)
    plain = text.removeprefix("sha256:")
    is_digest = len(plain) == 64 and all(c in "0123456789abcdef" for c in plain)
    return plain[:12] if is_digest else text
