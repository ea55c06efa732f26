"""Decoded images and labels of a split on disk, mapped into memory: shared by processes, stages and runs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock

from pipeline.errors import DataError
from stages.datasets.index import Index

IMAGES, LABELS = "images.npy", "labels.npy"
BYTES_A_PIXEL = 4
"""Red, green, blue and the label."""

Arrays = tuple[np.ndarray, np.ndarray]
"""Images uint8 N x H x W x 3 and labels uint8 N x H x W."""


def decoded_key(index: Index, split: str) -> str:
    """sha256 over all that decides the arrays: the files' content, the grid, the preprocessing, the label map."""
    parts = {
        "files": [[sample.image_sha256, sample.label_sha256] for sample in index.samples(split)],
        "preprocess": index.preprocess.to_json(),
        "label_map": list(index.label_map),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def decoded_bytes(index: Index, split: str) -> int:
    """Size of both arrays."""
    height, width = index.size_px
    return len(index.samples(split)) * height * width * BYTES_A_PIXEL


def mapped(index: Index, split: str, folder: Path, fill: Callable[[np.ndarray, np.ndarray], None]) -> Arrays:
    """The split's arrays, read-only, from a file below `folder`; made by `fill(images, labels)` where it is not there.

    Two processes that want the same make it once. DataError where the disk has no room for it.
    """
    place = folder / decoded_key(index, split)
    if not place.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{place.name}.lock"):
            if not place.is_dir():
                make(index, split, place, fill)
    images, labels = (np.load(place / name, mmap_mode="r") for name in (IMAGES, LABELS))
    return images, labels


def make(index: Index, split: str, place: Path, fill: Callable[[np.ndarray, np.ndarray], None]) -> None:
    """Write both arrays beside `place` and rename: the folder is there and complete, or not there."""
    needed, free = decoded_bytes(index, split), shutil.disk_usage(place.parent).free
    if needed > free:
        raise DataError(
            f"{place.parent}: the decoded split {split} takes {needed / 2**30:.1f} GiB, {free / 2**30:.1f} are free: "
            "make room, or give decoded = 'none'"
        )
    part = place.with_name(f"{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        shape_NHW = (len(index.samples(split)), *index.size_px)
        images = np.lib.format.open_memmap(part / IMAGES, mode="w+", dtype=np.uint8, shape=(*shape_NHW, 3))
        labels = np.lib.format.open_memmap(part / LABELS, mode="w+", dtype=np.uint8, shape=shape_NHW)
        fill(images, labels)
        for array in (images, labels):
            array.flush()
        os.rename(part, place)
    finally:
        shutil.rmtree(part, ignore_errors=True)
