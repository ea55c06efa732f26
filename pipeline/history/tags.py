"""Names that a user gives to artifacts: `tags/<name>.json`, read back as `tag:name`."""

import re
from pathlib import Path

from pipeline.errors import CorruptError, StoreError
from pipeline.references import pointers, tag_file
from pipeline.store.store import Artifact, Store

NAME = re.compile(r"\w[\w.+-]{0,99}")
"""A file name on every file system: no slash, no blank, nothing hidden."""


def tag_path(store: Store, name: str) -> Path:
    """The pointer file of a tag; StoreError for a name that is none."""
    if not NAME.fullmatch(name):
        raise StoreError(
            f"{name!r} is no name for a tag: begin with a letter or digit, go on with those and . _ + -, "
            "100 characters at most"
        )
    return store.home / "tags" / f"{name}.json"


def set_tag(store: Store, name: str, artifact: Artifact) -> Artifact | None:
    """Point a tag to an artifact; returns what it pointed to before."""
    path = tag_path(store, name)
    before = named(store, path)
    store.point(path, artifact)
    return before


def delete_tag(store: Store, name: str) -> None:
    """Remove a tag; the artifact stays. StoreError where there is no such tag."""
    tag_path(store, name)
    tag_file(store, name).unlink()


def tagged(store: Store) -> dict[str, Artifact | None]:
    """Every tag and its artifact, None where that is gone."""
    return {name: named(store, path) for name, path in pointers(store.home / "tags").items()}


def named(store: Store, path: Path) -> Artifact | None:
    """What a tag's file points to; None where it is gone, or corrupt beyond reading."""
    try:
        return store.pointed(path)
    except CorruptError:
        return None
