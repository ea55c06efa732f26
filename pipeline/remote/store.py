"""A store somewhere else, reached through fsspec: a folder, a host with sftp, an S3 bucket.

Its layout is that of the local store, so that another machine's `.pipeline/store` is a remote store as it stands:

    <root>/<kind>/<key>/<digest>/  manifest.json and the stage's files
    <root>/<kind>/<key>/current    the digest in use

An artifact is there when its manifest is.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.errors import RemoteError
from pipeline.references import SHOWN
from pipeline.remote.untrusted import HASH, LIMIT_BYTES, checked_manifest
from pipeline.store.manifest import MANIFEST

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

INCOMING = ".incoming"
"""Below the root: artifacts that are being uploaded, where files can be renamed."""
POINTER_LIMIT_BYTES = 1024
REPAIR = "delete that artifact's folder there and push it again"


@dataclass(frozen=True)
class Offer:
    """An artifact that a remote store holds, with its manifest checked."""

    kind: str
    key: str
    digest: str
    manifest: dict[str, Any]

    @property
    def reference(self) -> str:
        """How a command line names it."""
        return f"{self.kind}@{self.digest[:SHOWN]}"

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(file["bytes"] for file in self.manifest["files"].values())


@dataclass(frozen=True)
class Remote:
    """The artifacts below one URL."""

    url: str
    fs: AbstractFileSystem
    root: str
    rename: Callable[[str, str], None] | None
    """Moves a file or folder at once; None on an object store, where a put is at once what it will be."""
    prefetch: bool
    """Whether files that are read must be asked for ahead, as over sftp."""
    to_be_made: bool = False
    """Whether the folder is not there and a push would make it."""
    made: set[str] = field(default_factory=set)
    """Folders that need not be made again: over a long line each question costs its round trip."""

    def folder(self, kind: str, key: str, digest: str) -> str:
        """Where an artifact lies."""
        return f"{self.root}/{kind}/{key}/{digest}"

    def upload_folder(self, kind: str, key: str, digest: str) -> str:
        """Where an artifact is gathered while it is uploaded: aside, and renamed, where that can be done."""
        return f"{self.root}/{INCOMING}/{kind}-{key}-{digest}" if self.rename else self.folder(kind, key, digest)

    def make_folder_of(self, path: str) -> None:
        """Make the folders above a path."""
        folder = path.rpartition("/")[0]
        if folder not in self.made:
            self.fs.makedirs(folder, exist_ok=True)
            self.made.add(folder)

    def holds(self, kind: str, key: str, digest: str) -> bool:
        """Whether the artifact is there."""
        return bool(self.fs.isfile(f"{self.folder(kind, key, digest)}/{MANIFEST}"))

    def current(self, kind: str, key: str) -> str | None:
        """The digest in use under a key, or None."""
        path = f"{self.root}/{kind}/{key}/current"
        content = self.small_file(path, POINTER_LIMIT_BYTES)
        if content is None:
            return None
        digest = content.decode("ascii", errors="replace").strip()
        if not HASH.fullmatch(digest):
            raise RemoteError(f"{self.url}: refused: {path} holds no digest; delete that file and push again")
        return digest

    def point(self, kind: str, key: str, digest: str) -> None:
        """Make a digest the one in use under its key."""
        path = f"{self.root}/{kind}/{key}/current"
        if self.rename is None:
            self.fs.pipe_file(path, digest.encode())
            return
        part = part_of(path)
        self.fs.pipe_file(part, digest.encode())
        self.rename(part, path)

    def offer(self, kind: str, key: str, digest: str) -> Offer | None:
        """The artifact with its checked manifest, or None; RemoteError where the manifest is not to be trusted."""
        content = self.small_file(f"{self.folder(kind, key, digest)}/{MANIFEST}", LIMIT_BYTES)
        if content is None:
            return None
        where = f"{self.url}: {kind}/{key[:12]}/{digest[:12]}/{MANIFEST}"
        return Offer(kind, key, digest, checked_manifest(content, kind, key, digest, where))

    def find(self, kind: str, prefix: str) -> list[tuple[str, str]]:
        """(key, digest) of the complete artifacts of a kind whose digest or key begins so."""
        return [
            (key, digest)
            for key in self.hashes(f"{self.root}/{kind}")
            for digest in self.hashes(f"{self.root}/{kind}/{key}")
            if (digest.startswith(prefix) or key.startswith(prefix)) and self.holds(kind, key, digest)
        ]

    def hashes(self, folder: str) -> list[str]:
        """Entries of a folder that are named by a hash; none where there is no folder."""
        try:
            paths = self.fs.ls(folder, detail=False)
        except FileNotFoundError:
            return []
        names = (path.rstrip("/").rpartition("/")[2] for path in paths)
        return sorted(name for name in names if HASH.fullmatch(name))

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of every file below a folder, by relative name; empty where there is no folder."""
        found = self.fs.find(folder, detail=True)
        return {path.removeprefix(f"{folder}/"): entry["size"] for path, entry in found.items()}

    def small_file(self, path: str, limit_bytes: int) -> bytes | None:
        """Content of a file, or None where there is none; RemoteError beyond a size that no honest one has."""
        try:
            with self.fs.open(path, "rb") as file:
                content: bytes = file.read(limit_bytes + 1)
        except FileNotFoundError:
            return None
        if len(content) > limit_bytes:
            raise RemoteError(f"{self.url}: refused: {path} is larger than {limit_bytes:,} bytes")
        return content

    @contextmanager
    def reading(self, path: str, offset: int) -> Iterator[BinaryIO]:
        """A file from one of its bytes on; RemoteError where it is missing or a link."""
        try:
            if hasattr(self.fs, "islink") and self.fs.islink(path):
                raise RemoteError(f"{self.url}: refused: {path} is a symbolic link")
            file = self.fs.open(path, "rb")
        except FileNotFoundError as error:
            raise RemoteError(f"{self.url}: {path} is missing; {REPAIR}") from error
        with file:
            file.seek(offset)
            if self.prefetch:
                file.prefetch()
            yield file


def part_of(path: str) -> str:
    """A name beside a file that no other process uses."""
    return f"{path}.{uuid.uuid4().hex}.part"
