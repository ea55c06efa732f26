"""What is believed of a manifest that another machine wrote: nothing in it can name a place outside its folder."""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from pipeline.errors import RemoteError
from pipeline.store.manifest import MANIFEST, contradictions

LIMIT_BYTES = 64 * 2**20
"""Larger manifests are refused: a data artifact of 100,000 files has 16 MB."""
HASH = re.compile(r"[0-9a-f]{64}")
NAME_BYTES = 200
"""Longest part of a file's name, so that a suffix still fits the 255 of file systems."""
SHOWN = 60
UNSHOWN = ("Cc", "Cs")
"""Unicode categories that have no place in a manifest: a terminal obeys control characters."""


def file_name(name: str) -> str:
    """The relative name of a file below an artifact's folder; ValueError for any other string."""
    parts = name.split("/")
    if not name or any(part in ("", ".", "..") for part in parts):
        raise ValueError("a file's name must be a relative path without empty, '.' and '..' parts")
    if "\\" in name or ":" in name or not name.isprintable():
        raise ValueError("a file's name must be without backslashes, colons and control characters")
    if any(part.endswith((".", " ")) or len(part.encode()) > NAME_BYTES for part in parts):
        raise ValueError(f"parts of a file's name must have at most {NAME_BYTES} bytes and not end in '.' or ' '")
    if parts[0].casefold() == MANIFEST:
        raise ValueError("the manifest does not list itself")
    return name


Hash = Annotated[str, StringConstraints(pattern=f"^{HASH.pattern}$")]
FileName = Annotated[str, AfterValidator(file_name)]


class Strict(BaseModel):
    """No conversions; fields that are not read here pass."""

    model_config = ConfigDict(strict=True, extra="allow")


class File(Strict):
    """One file of an artifact."""

    sha256: Hash
    bytes: int = Field(ge=0)
    volatile: bool


class Input(Strict):
    """An upstream artifact."""

    key: Hash
    digest: Hash


class Manifest(Strict):
    """The fields on which other parts of the program rely."""

    kind: str
    key: Hash
    digest: Hash
    stage: str
    recipe: str
    created: str
    seconds: float
    components: dict[str, Any]
    inputs: dict[str, Input]
    summary: dict[str, float | int | str]
    files: dict[FileName, File]


def checked_manifest(content: bytes, kind: str, key: str, digest: str, where: str) -> dict[str, Any]:
    """The manifest as it was written; RemoteError unless it is whole, harmless and that of this artifact."""
    try:
        manifest = json.loads(content)
        Manifest.model_validate(manifest)
        fault = next(faults(manifest, {"kind": kind, "key": key, "digest": digest}), None)
    except ValidationError as error:
        raise refusal(where, first_fault(error)) from error
    except (ValueError, RecursionError) as error:
        raise refusal(where, f"not valid JSON ({error})") from error
    if fault:
        raise refusal(where, fault)
    return dict(manifest)


def refusal(where: str, fault: str) -> RemoteError:
    """The error of a manifest that is not believed."""
    return RemoteError(f"{where} is refused: {' '.join(fault.split())}")


def first_fault(error: ValidationError) -> str:
    """Where pydantic found the first fault, what stood there and what should."""
    first = error.errors(include_url=False)[0]
    where = ".".join(shown(part) if isinstance(part, str) else str(part) for part in first["loc"])
    return f"{where or 'manifest'} = {shown(first['input'])}: {first['msg'].removeprefix('Value error, ')}"


def shown(value: Any) -> str:
    """A value from elsewhere, short and without control characters."""
    text = value if isinstance(value, str) and value.isprintable() else ascii(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def faults(manifest: Mapping[str, Any], place: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with a manifest of the right form, in a sentence each."""
    for name, expected in place.items():
        if manifest[name] != expected:
            yield f"it says {name} {shown(manifest[name])} and lies under {expected}"
    yield from clashes(list(manifest["files"]))
    for text in strings(manifest):
        if any(unicodedata.category(character) in UNSHOWN and character not in "\n\t" for character in text):
            yield f"control characters in {shown(text)}"
    yield from contradictions(manifest, Path(place["kind"], place["key"], place["digest"]))


def clashes(names: list[str]) -> Iterator[str]:
    """Names that some file system takes for one, and files that are also folders."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(folded(name), name)
        if other != name:
            yield f"{shown(other)} and {shown(name)} differ only in how they are written"
    for name in names:
        for parent in PurePosixPath(folded(name)).parents:
            if str(parent) in seen:
                yield f"{shown(seen[str(parent)])} is a file and a folder"


def folded(name: str) -> str:
    """A name as the least discerning file system sees it."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def strings(value: Any) -> Iterator[str]:
    """Every string within a JSON value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, below in value.items():
            yield key
            yield from strings(below)
    elif isinstance(value, list):
        for below in value:
            yield from strings(below)
