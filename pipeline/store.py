"""Artifacts on disk: plain folders, complete when their manifest is there, published by rename.

    store/<kind>/<key>/<digest>/  manifest.json and the stage's files
    store/<kind>/<key>/current    the digest in use

The key says what went in, the digest what came out.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Artifact:
    """A published folder and what its manifest says."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def key(self) -> str:
        """What went in."""
        return str(self.manifest["key"])

    @property
    def digest(self) -> str:
        """What came out."""
        return str(self.manifest["digest"])


class Store:
    """The artifacts below one `.pipeline` folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / "store"

    def current(self, kind: str, key: str) -> Artifact | None:
        """The artifact in use under a key, or None."""
        try:
            digest = (self.root / kind / key / "current").read_text().strip()
        except OSError:
            return None
        return self.find(kind, key, digest)

    def find(self, kind: str, key: str, digest: str) -> Artifact | None:
        """One artifact by key and digest, or None."""
        folder = self.root / kind / key / digest
        try:
            return Artifact(folder, json.loads((folder / MANIFEST).read_text()))
        except OSError:
            return None
        except ValueError as error:
            raise StoreError(f"{folder / MANIFEST} is not valid JSON; delete {folder} and run again") from error

    def artifacts(self, kind: str) -> Iterator[Artifact]:
        """Every artifact of a kind, in order of key and digest."""
        for path in sorted((self.root / kind).glob(f"*/*/{MANIFEST}")):
            artifact = self.find(kind, path.parent.parent.name, path.parent.name)
            if artifact is not None:
                yield artifact

    def last(self, recipe: str, stage: str) -> Artifact | None:
        """What was published last for this stage of this recipe: what a stale stage is compared with."""
        return self.pointed(self.home / "last" / recipe / f"{stage}.json")

    def remember(self, recipe: str, stage: str, artifact: Artifact) -> None:
        """Note that this artifact serves this stage of this recipe."""
        self.point(self.home / "last" / recipe / f"{stage}.json", artifact)

    def pointed(self, path: Path) -> Artifact | None:
        """The artifact that a pointer file names; None where the file or the artifact is not there."""
        try:
            pointer = json.loads(path.read_text())
        except (OSError, ValueError):
            return None
        return self.find(pointer["kind"], pointer["key"], pointer["digest"])

    def point(self, path: Path, artifact: Artifact) -> None:
        """Write a pointer file, unless it says the same already."""
        pointer = {"kind": artifact.manifest["kind"], "key": artifact.key, "digest": artifact.digest}
        text = json.dumps(pointer)
        if not (path.exists() and path.read_text() == text):
            replace_text(path, text)

    def scratch(self, kind: str, key: str) -> Path:
        """Folder for resume state; it lives until the artifact is published."""
        return self.home / "scratch" / kind / key

    def new_work_folder(self) -> Path:
        """Empty folder on the store's file system, to be filled and published."""
        folder = self.home / "work" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        return folder

    def publish(self, work: Path, manifest: dict[str, Any], volatile: Collection[str]) -> Artifact:
        """Hash the folder's files, write the manifest, rename it into place, make it current."""
        files = describe_files(work, volatile)
        artifact = self.place(work, {**manifest, "digest": digest_of(files), "files": files})
        self.make_current(artifact)
        return artifact

    def place(self, work: Path, manifest: Mapping[str, Any]) -> Artifact:
        """Write the manifest into a filled folder and rename it into place; one that is there already stays."""
        kind, key, digest = manifest["kind"], manifest["key"], manifest["digest"]
        (work / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        folder = self.root / kind / key / digest
        folder.parent.mkdir(parents=True, exist_ok=True)
        if (folder / MANIFEST).exists():
            shutil.rmtree(work)
        else:
            os.rename(work, folder)
        artifact = self.find(kind, key, digest)
        assert artifact is not None
        return artifact

    def make_current(self, artifact: Artifact) -> None:
        """Make an artifact the one in use under its key."""
        replace_text(self.root / artifact.manifest["kind"] / artifact.key / "current", artifact.digest)


def describe_files(folder: Path, volatile: Collection[str]) -> dict[str, dict[str, Any]]:
    """{relative name: sha256, bytes, volatile} of every file below a folder."""
    described = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            described[name] = {"sha256": digest, "bytes": path.stat().st_size, "volatile": name in volatile}
    return described


def digest_of(files: Mapping[str, Mapping[str, Any]]) -> str:
    """Digest of an artifact: over the name and sha256 of every file that is not volatile."""
    declared = [[name, file["sha256"]] for name, file in sorted(files.items()) if not file["volatile"]]
    return hashlib.sha256(json.dumps(declared).encode()).hexdigest()


def replace_text(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text)
    os.replace(part, path)
