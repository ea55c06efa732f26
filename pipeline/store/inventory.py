"""Everything that lies in a store, whichever recipe made it: what gc, lineage and doctor go through."""

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from stat import S_ISREG
from typing import Any

from pipeline.errors import StoreError
from pipeline.graph import BY_NAME
from pipeline.store.locks import is_held
from pipeline.store.manifest import MANIFEST
from pipeline.store.store import Artifact, Store

REQUIRED = ("stage", "kind", "key", "digest", "created", "seconds", "components", "inputs", "summary", "files")
"""What every manifest says."""
POINTER_FILES = {"recipe": "last/*/*.json", "tag": "tags/*.json", "sweep": "sweeps/*/cells/*.json"}
"""Who names an artifact -> its pointer files below the store's home."""

Address = tuple[str, str, str]
"""Kind, key and digest."""


@dataclass(frozen=True)
class Pointer:
    """A small file by which a recipe, a tag or a sweep names an artifact."""

    owner: str
    """One of `POINTER_FILES`."""
    name: str
    """`recipe/stage`, the tag's name, or `sweep/cell`."""
    path: Path
    target: Address | None
    """None where the file cannot be read."""


@dataclass(frozen=True)
class Inventory:
    """The artifacts of a store and what names them."""

    artifacts: Mapping[Address, Artifact]
    unreadable: Mapping[Path, str]
    """Folder of an artifact whose manifest cannot be read -> why."""
    pointers: tuple[Pointer, ...]

    @cached_property
    def by_digest(self) -> dict[tuple[str, str], list[Artifact]]:
        """Artifacts by kind and digest: equal outputs may have been published under several keys."""
        found = defaultdict(list)
        for (kind, _, digest), artifact in self.artifacts.items():
            found[kind, digest].append(artifact)
        return found

    def upstream(self, artifact: Artifact) -> dict[str, list[Artifact]]:
        """What an artifact was made from, by stage: the very one, or equal ones under other keys; empty where gone."""
        found = {}
        for stage, named in artifact.manifest["inputs"].items():
            kind = BY_NAME[stage].kind if stage in BY_NAME else stage
            same = self.artifacts.get((kind, named["key"], named["digest"]))
            found[stage] = [same] if same else self.by_digest.get((kind, named["digest"]), [])
        return found

    @cached_property
    def tags(self) -> dict[Address, list[str]]:
        """Names of the tags by what they point to."""
        found = defaultdict(list)
        for pointer in self.pointers:
            if pointer.owner == "tag" and pointer.target:
                found[pointer.target].append(pointer.name)
        return found


def address(artifact: Artifact) -> Address:
    """Where an artifact lies."""
    return str(artifact.manifest["kind"]), artifact.key, artifact.digest


def created(artifact: Artifact) -> datetime:
    """When an artifact was made."""
    return datetime.fromisoformat(str(artifact.manifest["created"]))


def size_bytes(artifact: Artifact) -> int:
    """Bytes of an artifact's files, as its manifest counts them."""
    return sum(int(file["bytes"]) for file in artifact.manifest["files"].values())


def take_inventory(store: Store) -> Inventory:
    """Read every manifest and every pointer of a store."""
    artifacts, unreadable = {}, {}
    for folder in artifact_folders(store):
        try:
            artifact = Artifact(folder, read_manifest(folder))
        except StoreError as error:
            unreadable[folder] = str(error)
        else:
            artifacts[place_of(folder)] = artifact
    return Inventory(artifacts, unreadable, tuple(all_pointers(store.home)))


def artifact_folders(store: Store) -> Iterator[Path]:
    """Folders that hold a manifest, in order."""
    return (path.parent for path in sorted(store.root.glob(f"*/*/*/{MANIFEST}")))


def place_of(folder: Path) -> Address:
    """Kind, key and digest by the names of the folders."""
    return folder.parent.parent.name, folder.parent.name, folder.name


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an artifact's folder; StoreError saying what is wrong with it."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{MANIFEST} cannot be read: {error}") from error
    missing = [name for name in REQUIRED if not isinstance(manifest, dict) or name not in manifest]
    if missing:
        raise StoreError(f"{MANIFEST} lacks {', '.join(missing)}")
    if not is_moment(manifest["created"]):
        raise StoreError(f"{MANIFEST} says created {manifest['created']!r}, which is no time with a zone")
    stated = (manifest["kind"], manifest["key"], manifest["digest"])
    if stated != place_of(folder):
        raise StoreError(f"{MANIFEST} says {'/'.join(map(str, stated))}, which is another place")
    return manifest


def is_moment(text: object) -> bool:
    """Whether a text is an ISO time with its zone."""
    try:
        return datetime.fromisoformat(str(text)).tzinfo is not None
    except ValueError:
        return False


def all_pointers(home: Path) -> Iterator[Pointer]:
    """Every pointer file below a store's home."""
    for owner, pattern in POINTER_FILES.items():
        for path in sorted(home.glob(pattern)):
            parts = path.relative_to(home).with_suffix("").parts[1:]
            yield Pointer(owner, "/".join(part for part in parts if part != "cells"), path, read_target(path))


def read_target(path: Path) -> Address | None:
    """What a pointer file names; None where it cannot be read."""
    try:
        pointer = json.loads(path.read_bytes())
        return str(pointer["kind"]), str(pointer["key"]), str(pointer["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def current_digest(key_folder: Path) -> str | None:
    """What a key's `current` file names."""
    try:
        return (key_folder / "current").read_text(encoding="utf-8").strip()
    except OSError:
        return None


def held_locks(home: Path) -> set[tuple[str, str]]:
    """Kind and key of every lock that a living process holds."""
    held = set()
    for path in sorted((home / "locks").glob("*.lock")):
        kind, _, key = path.stem.rpartition("-")
        if is_held(path):
            held.add((kind, key))
    return held


def stats_below(folder: Path) -> Iterator[os.stat_result]:
    """Of a folder and of everything in it; what a running stage removes meanwhile is left out."""
    for where, _, names in os.walk(folder):
        for path in (where, *(os.path.join(where, name) for name in names)):
            with suppress(FileNotFoundError):
                yield os.lstat(path)


def total_bytes(folder: Path) -> int:
    """Bytes of the files below a folder; 0 where it is not there."""
    return sum(found.st_size for found in stats_below(folder) if S_ISREG(found.st_mode))


def touched(folder: Path) -> datetime:
    """Latest change of a folder or of anything in it."""
    return datetime.fromtimestamp(max((found.st_mtime for found in stats_below(folder)), default=0), UTC)
