"""Artifacts on disk: plain folders, complete when their manifest is there, published by rename.

    store/<kind>/<key>/<digest>/  manifest.json and the stage's files
    store/<kind>/<key>/current    the digest in use

The key says what went in, the digest what came out.
"""

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import CorruptError
from pipeline.store.durable import flush_folder, flush_tree, replace_text
from pipeline.store.manifest import MANIFEST, describe_files, digest_of, read_manifest, sealed
from pipeline.store.verify import check
from pipeline.store.workspace import new_work_folder, put_aside

CURRENT = "current"


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
        """The artifact in use under a key, or None; CorruptError where its manifest is missing or is none."""
        folder = self.current_folder(kind, key)
        return self.at(folder) if folder else None

    def current_folder(self, kind: str, key: str) -> Path | None:
        """Folder of the artifact in use under a key, whatever lies in it; None where there is none."""
        try:
            digest = (self.root / kind / key / CURRENT).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None
        folder = self.root / kind / key / digest
        return folder if digest and folder.is_dir() else None

    def find(self, kind: str, key: str, digest: str) -> Artifact | None:
        """One artifact by key and digest, or None; CorruptError where its manifest is missing or is none."""
        folder = self.root / kind / key / digest
        return self.at(folder) if folder.is_dir() else None

    def at(self, folder: Path) -> Artifact:
        """The artifact in a folder; CorruptError where its manifest is missing or is none."""
        return Artifact(folder, read_manifest(folder))

    def intact(self, kind: str, key: str) -> Artifact | None:
        """The artifact in use under a key if every file of it is what it should be, or None."""
        folder = self.current_folder(kind, key)
        return self.at(folder) if folder and not check(self.home, folder) else None

    def folders(self, kind: str = "*") -> list[Path]:
        """Folder of every artifact of a kind, or of all kinds, also of those that are corrupt."""
        found = (path for path in self.root.glob(f"{kind}/*/*") if path.is_dir())
        return sorted(path for path in found if not path.parts[-3].startswith("."))

    def artifacts(self, kind: str) -> Iterator[Artifact]:
        """Every artifact of a kind that has a manifest, in order of key and digest."""
        for folder in self.folders(kind):
            with suppress(CorruptError):
                yield self.at(folder)

    def last(self, recipe: str, stage: str) -> Artifact | None:
        """What was published last for this stage of this recipe: what a stale stage is compared with."""
        with suppress(CorruptError):
            return self.pointed(self.home / "last" / recipe / f"{stage}.json")
        return None

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

    def new_work_folder(self, lock: Path | None = None) -> Path:
        """Empty folder on the store's file system, to be filled and published while `lock` is held."""
        return new_work_folder(self.home, lock)

    def publish(self, work: Path, manifest: dict[str, Any], volatile: Collection[str]) -> Artifact:
        """Hash the folder's files, write the manifest, rename it into place, make it current."""
        files = describe_files(work, volatile)
        artifact = self.place(work, sealed({**manifest, "digest": digest_of(files), "files": files}))
        self.make_current(artifact)
        return artifact

    def place(self, work: Path, manifest: Mapping[str, Any]) -> Artifact:
        """Write the manifest into a filled folder and rename it into place.

        One that is there already stays if it is intact, and is put aside if it is not. CorruptError where the files
        are not those of the manifest.
        """
        kind, key, digest = manifest["kind"], manifest["key"], manifest["digest"]
        (work / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        folder = self.root / kind / key / digest
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.is_dir() and check(self.home, folder, rehash=True):
            put_aside(self.home, folder)
        if folder.is_dir():
            shutil.rmtree(work)
        else:
            flush_tree(work)
            os.rename(work, folder)
            for place in (folder.parent, folder.parent.parent, self.root, self.home):
                flush_folder(place)
        for fault in check(self.home, folder):
            raise CorruptError(folder, fault.file, fault.problem)
        return self.at(folder)

    def make_current(self, artifact: Artifact) -> None:
        """Make an artifact the one in use under its key."""
        replace_text(self.root / artifact.manifest["kind"] / artifact.key / CURRENT, artifact.digest)
