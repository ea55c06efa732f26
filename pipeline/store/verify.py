"""Whether an artifact's files are what its manifest says, by their hashes or by what was remembered of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import CorruptError
from pipeline.identity.statcache import StatCache
from pipeline.store.durable import files_below
from pipeline.store.manifest import MANIFEST, contradictions, read_manifest, sha256_of

SHOWN = 12
"""Characters of a hash that are printed."""
NAMED = 3
"""Faulty files that one line names."""


@dataclass(frozen=True)
class Fault:
    """One file that is not what it should be."""

    file: str
    problem: str

    def text(self) -> str:
        """`model.safetensors: has 10 bytes, not 20`."""
        return f"{self.file}: {self.problem}"


@dataclass(frozen=True)
class Verdict:
    """What was found of one artifact."""

    folder: Path
    files: int
    bytes: int
    faults: tuple[Fault, ...]

    @property
    def reference(self) -> str:
        """`teacher@656396b61088`."""
        return f"{self.folder.parts[-3]}@{self.folder.name[:SHOWN]}"

    @property
    def restore(self) -> str | None:
        """What to do about it, where something is wrong."""
        return restore(stage_of(self.folder), self.folder) if self.faults else None

    def to_json(self) -> dict[str, Any]:
        """The row of `verify --json`."""
        return {
            "artifact": self.reference,
            "folder": str(self.folder),
            "files": self.files,
            "bytes": self.bytes,
            "ok": not self.faults,
            "faults": [asdict(fault) for fault in self.faults],
            "restore": self.restore,
        }


def verdict(home: Path, folder: Path) -> Verdict:
    """Hash every file of an artifact again."""
    sizes = [path.stat().st_size for path in files_below(folder)]
    return Verdict(folder, len(sizes), sum(sizes), check(home, folder, rehash=True))


def check(home: Path, folder: Path, rehash: bool = False) -> tuple[Fault, ...]:
    """What is wrong with the artifact in `folder` of the store at `home`; empty where all is well.

    A file whose size, times and inode are those that it had when it was last hashed is not read, unless `rehash`.
    """
    cache = remembered(home, folder)
    found = tuple(faults(folder, cache, rehash))
    cache.save()
    return found


def told(faults: Sequence[Fault]) -> str:
    """The faults in one line: the first few, and how many more."""
    more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    return "; ".join(fault.text() for fault in faults[:NAMED]) + more


def restore(stage: str, folder: Path) -> str:
    """What to do about the corrupt artifact of a stage."""
    reference = f"{folder.parts[-3]}@{folder.name[:SHOWN]}"
    return (
        f"restore it: python -m pipeline pull {reference} --store URL, "
        f"or make it again: python -m pipeline run --force {stage}"
    )


def stage_of(folder: Path) -> str:
    """The stage that made an artifact, as far as its manifest can tell."""
    try:
        return str(read_manifest(folder)["stage"])
    except (CorruptError, KeyError):
        return folder.parts[-3]


def remembered(home: Path, folder: Path) -> StatCache:
    """The hashes of an artifact's files, as they were when they were last read."""
    kind, key, digest = folder.parts[-3:]
    return StatCache(home / "cache" / "artifacts" / kind / key / f"{digest}.json", root=folder)


def faults(folder: Path, cache: StatCache, rehash: bool) -> Iterator[Fault]:
    """Every file of an artifact that is changed, cut short, missing or too many, and what its manifest gets wrong."""
    try:
        manifest = read_manifest(folder)
    except CorruptError as error:
        yield Fault(error.file, error.problem)
        return
    yield from (Fault(MANIFEST, problem) for problem in contradictions(manifest, folder))
    present = {path.relative_to(folder).as_posix(): path for path in files_below(folder)}
    del present[MANIFEST]
    for name, file in manifest["files"].items():
        problem = file_problem(present.pop(name, None), file, cache, rehash)
        if problem:
            yield Fault(name, problem)
    yield from (Fault(name, "does not belong to it: move it away") for name in sorted(present))


def file_problem(path: Path | None, expected: Mapping[str, Any], cache: StatCache, rehash: bool) -> str | None:
    """How one file differs from what the manifest says of it, or None."""
    if path is None:
        return "is missing"
    try:
        size = path.stat().st_size
        if size != expected["bytes"]:
            return f"has {size:,} bytes, not {expected['bytes']:,}"
        sha256 = cache.get_by_path(path, sha256_of, rehash)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if sha256 != expected["sha256"]:
        return f"is changed: its sha256 is {sha256[:SHOWN]}, not {expected['sha256'][:SHOWN]}"
    return None
