"""Which pictures an accuracy is of: one digest over all of them with their labels. Python 3.10: it travels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any


def pairs_sha256(pairs: Iterable[tuple[str, str]]) -> str:
    """Digest over the sha256 of each picture's file and of its label's, whatever they are called and in any order."""
    lines = sorted(f"{image} {label}\n" for image, label in pairs)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def split_of(digest: str, splits: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The split of a manifest's `data.splits` that has just these pairs; None where none has."""
    return next((name for name, split in splits.items() if split["pairs_sha256"] == digest), None)
