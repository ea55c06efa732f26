"""What an artifact says of itself, and what it must say of itself."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import CorruptError
from pipeline.store.durable import files_below

MANIFEST = "manifest.json"
SEAL = "manifest_sha256"
"""Field that holds the hash of the manifest's other fields: a changed byte in it shows."""
TEXTS = ("kind", "key", "digest")


def describe_files(folder: Path, volatile: Collection[str]) -> dict[str, dict[str, Any]]:
    """{relative name: sha256, bytes, volatile} of every file below a folder."""
    described = {}
    for path in sorted(files_below(folder)):
        name = path.relative_to(folder).as_posix()
        described[name] = {"sha256": sha256_of(path), "bytes": path.stat().st_size, "volatile": name in volatile}
    return described


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(files: Mapping[str, Mapping[str, Any]]) -> str:
    """The digest of an artifact: sha256 over the names and hashes of what is not volatile."""
    declared = [[name, file["sha256"]] for name, file in sorted(files.items()) if not file["volatile"]]
    return hashlib.sha256(json.dumps(declared).encode()).hexdigest()


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest as it is read back from a file, with its seal."""
    plain = json.loads(json.dumps({name: value for name, value in manifest.items() if name != SEAL}))
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return {**plain, SEAL: hashlib.sha256(text.encode()).hexdigest()}


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an artifact's folder; CorruptError where it is missing or is none."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise CorruptError(folder, MANIFEST, "is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CorruptError(folder, MANIFEST, f"cannot be read ({error})") from error
    if not is_manifest(manifest):
        raise CorruptError(folder, MANIFEST, "is not a manifest")
    return dict(manifest)


def is_manifest(value: Any) -> bool:
    """Whether a JSON value has the fields by which an artifact is found and checked."""
    if not isinstance(value, dict) or not isinstance(value.get("files"), dict):
        return False
    files = value["files"].values()
    return all(isinstance(value.get(name), str) for name in TEXTS) and all(
        isinstance(file, dict) and {"sha256", "bytes", "volatile"} <= set(file) for file in files
    )


def contradictions(manifest: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """What is wrong with a manifest taken by itself, and with where it lies."""
    if sealed(manifest)[SEAL] != manifest.get(SEAL):
        yield "was changed after it was written"
    if digest_of(manifest["files"]) != manifest["digest"]:
        yield "its digest does not follow from the files that it lists"
    place = (folder.parent.parent.name, folder.parent.name, folder.name)
    stated = tuple(manifest[name] for name in TEXTS)
    if stated != place:
        yield f"says that it is {'/'.join(stated)}"
