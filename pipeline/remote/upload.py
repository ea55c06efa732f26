"""Send an artifact to a remote store: its files, then the manifest, which makes it one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from fsspec.callbacks import Callback  # type: ignore[import-untyped]

from pipeline.errors import RemoteError, StoreError
from pipeline.remote.progress import Count, byte_progress
from pipeline.remote.store import Remote, part_of
from pipeline.store.manifest import MANIFEST
from pipeline.store.store import Artifact
from pipeline.store.verify import check, told

CHUNK_BYTES = 2**20


class Counter(Callback):  # type: ignore[misc]
    """Passes on what fsspec tells of an upload."""

    def __init__(self, count: Count) -> None:
        super().__init__()
        self.count = count

    def relative_update(self, inc: int = 1) -> None:
        """So many more bytes have gone: fsspec's name for it."""
        self.count(inc)


def missing_files(artifact: Artifact, remote: Remote) -> dict[str, int]:
    """The files that an artifact which is not in the remote store lacks there, with their bytes.

    A file that is there with its size is whole, since it got its name by a rename or by one put. Its content is that of
    the digest above it, unless it is volatile: such a file of another machine may have the same size by chance.
    """
    manifest = artifact.manifest
    place = manifest["kind"], artifact.key, artifact.digest
    there = remote.sizes(remote.upload_folder(*place))
    return {
        name: file["bytes"]
        for name, file in manifest["files"].items()
        if file["volatile"] or there.get(name) != file["bytes"]
    }


def send(artifact: Artifact, remote: Remote, missing: Mapping[str, int]) -> bool:
    """Upload the files that are missing and the manifest; False where another process finished the same meanwhile."""
    place = artifact.manifest["kind"], artifact.key, artifact.digest
    folder = remote.upload_folder(*place)
    with byte_progress(f"push {place[0]}@{artifact.digest[:12]}", sum(missing.values())) as count:
        try:
            for name in missing:
                put(remote, artifact.folder / name, f"{folder}/{name}", count)
            put(remote, artifact.folder / MANIFEST, f"{folder}/{MANIFEST}", count)
            if remote.rename:
                settle(remote, folder, artifact)
        except OSError:
            # Whoever is first renames the folder away under the other.
            if remote.holds(*place):
                return False
            raise
    return True


def check_whole(artifact: Artifact, home: Path) -> None:
    """StoreError unless the local files are those of the manifest."""
    faults = check(home, artifact.folder)
    if faults:
        raise StoreError(f"not pushed: {artifact.folder}: {told(faults)}; pull it anew, or run its stage with --force")


def put(remote: Remote, source: Path, target: str, count: Count) -> None:
    """Upload one file so that its name appears when it is whole."""
    if remote.rename is None:
        remote.fs.put_file(str(source), target, callback=Counter(count))
        return
    remote.make_folder_of(target)
    size = source.stat().st_size
    with (
        renamed_when_whole(remote, target, size) as part,
        source.open("rb") as reader,
        remote.fs.open(part, "wb") as writer,
    ):
        while chunk := reader.read(CHUNK_BYTES):
            writer.write(chunk)
            count(len(chunk))


@contextmanager
def renamed_when_whole(remote: Remote, target: str, size: int) -> Iterator[str]:
    """A name to write to, that becomes `target` if it has `size` bytes in the end and is removed otherwise."""
    assert remote.rename is not None
    part = part_of(target)
    try:
        yield part
        written = remote.fs.info(part)["size"]
        if written != size:
            raise RemoteError(f"{remote.url}: {target} has {written:,} of {size:,} bytes; is the disk full?")
        remote.rename(part, target)
    except BaseException:
        with suppress(Exception):
            remote.fs.rm_file(part)
        raise


def settle(remote: Remote, folder: str, artifact: Artifact) -> None:
    """Rename a finished upload to its place, less what a killed upload left in it."""
    assert remote.rename is not None
    declared = {MANIFEST, *artifact.manifest["files"]}
    for name in remote.sizes(folder).keys() - declared:
        remote.fs.rm_file(f"{folder}/{name}")
    final = remote.folder(artifact.manifest["kind"], artifact.key, artifact.digest)
    remote.make_folder_of(final)
    remote.rename(folder, final)
