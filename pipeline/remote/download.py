"""Fetch an artifact from a remote store: each file checked as it arrives, published when all are there."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import RemoteError
from pipeline.remote.progress import MB, Count, byte_progress
from pipeline.remote.store import REPAIR, Offer, Remote
from pipeline.store.disk import as_full
from pipeline.store.locks import held, lock_path
from pipeline.store.manifest import describe_files
from pipeline.store.store import Artifact, Store
from pipeline.store.verify import check

CHUNK_BYTES = 2**18
"""Read at a time; what was not read to its end when a connection breaks is fetched again."""
File = Mapping[str, Any]
"""What a manifest says of one file: sha256, bytes, volatile."""


def sound(offer: Offer, store: Store) -> Artifact | None:
    """The offered artifact where this store has it and every file of it is what it should be."""
    folder = store.root / offer.kind / offer.key / offer.digest
    return store.at(folder) if folder.is_dir() and not check(store.home, folder) else None


def fetch(offer: Offer, remote: Remote, store: Store, say: Callable[[str], None]) -> tuple[Artifact, int]:
    """Download an artifact and put it into the store; returns it and the bytes that were moved.

    Its files gather in a folder of the artifact's own, where an interrupted download is taken up again. The lock is the
    one under which a run would make it, so that the run waits and takes what was fetched.
    """
    folder = store.home / "work" / f"pull-{offer.kind}-{offer.key}-{offer.digest}"
    lock = lock_path(store.home, offer.kind, offer.key)
    with held(lock, lambda holder: say(f"{offer.reference}: waits for {holder}, which is making or fetching it")):
        made = sound(offer, store)
        if made:
            return made, 0
        folder.mkdir(parents=True, exist_ok=True)
        require_space(offer, folder)
        try:
            with byte_progress(f"pull {offer.reference}", offer.bytes) as count:
                moved = sum(fetch_file(offer, remote, path, folder, count) for path in offer.manifest["files"])
            return publish(offer, folder, store), moved
        except OSError as error:
            full = as_full(error, store.home, offer.bytes)
            if full:
                raise full from error
            raise


def require_space(offer: Offer, folder: Path) -> None:
    """RemoteError where the disk cannot take what is still to come."""
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    needed, free = offer.bytes - there, shutil.disk_usage(folder).free
    if needed > free:
        raise RemoteError(
            f"{offer.reference} needs {needed / MB:,.0f} MB and {folder.parent.parent} has {free / MB:,.0f} MB free; "
            "make room or give another --home"
        )


def fetch_file(offer: Offer, remote: Remote, name: str, folder: Path, count: Count) -> int:
    """Download what is missing of one file and check it; returns the bytes that were moved."""
    file, target = offer.manifest["files"][name], folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    hasher, there = begun(target, file)
    count(there)
    if there == file["bytes"]:
        target.touch()
        return 0
    source = f"{remote.folder(offer.kind, offer.key, offer.digest)}/{name}"
    have = there
    with remote.reading(source, offset=there) as reader, target.open("ab") as writer:
        # One byte more than the manifest says, and not another, is asked for.
        while chunk := reader.read(min(CHUNK_BYTES, file["bytes"] + 1 - have)):
            have += len(chunk)
            if have > file["bytes"]:
                raise RemoteError(f"{remote.url}: refused: {source} is longer than its manifest says")
            hasher.update(chunk)
            writer.write(chunk)
            count(len(chunk))
    if have < file["bytes"]:
        raise RemoteError(f"{remote.url}: {source} ends after {have:,} of {file['bytes']:,} bytes; {REPAIR}")
    if hasher.hexdigest() != file["sha256"]:
        target.unlink()
        raise RemoteError(f"{remote.url}: {source} arrived with another sha256; pull again; if it stays so, {REPAIR}")
    return have - there


def begun(target: Path, file: File) -> tuple["hashlib._Hash", int]:
    """What an earlier download left of a file that can be gone on from: its running hash and its bytes."""
    if target.is_file() and not file["volatile"] and target.stat().st_size <= file["bytes"]:
        with target.open("rb") as reader:
            hasher = hashlib.file_digest(reader, "sha256")
        size = target.stat().st_size
        if size < file["bytes"] or hasher.hexdigest() == file["sha256"]:
            return hasher, size
    target.unlink(missing_ok=True)
    hasher = hashlib.sha256()
    return hasher, 0


def publish(offer: Offer, folder: Path, store: Store) -> Artifact:
    """Check the folder as a whole and rename it into the store."""
    files = offer.manifest["files"]
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in files:
            path.unlink()
    if describe_files(folder, [name for name, file in files.items() if file["volatile"]]) != files:
        raise RemoteError(f"{offer.reference}: the files in {folder} are not those of the manifest; delete it and pull")
    return store.place(folder, offer.manifest)
