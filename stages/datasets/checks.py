"""Finding the first fault of a data set before anything is trained on it, and measuring it on the way."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.errors import DataError
from stages.datasets.index import Sample
from stages.datasets.layout import IGNORE, ClassRow, Pair
from stages.datasets.pixels import UNREADABLE, unreadable

LABEL_MODES = ("L", "P")
READERS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class Checked:
    """The samples of every split, and how many pixels of each value their labels hold."""

    splits: Mapping[str, tuple[Sample, ...]]
    counts: Mapping[str, np.ndarray]
    """256 pixel counts by value of the label files, per split."""


def check(
    root: Path,
    splits: Mapping[str, tuple[Pair, ...]],
    classes: Sequence[ClassRow],
    on_images: Callable[[int], None],
) -> Checked:
    """Read every pair once; DataError naming the file for the first fault in the order of the splits.

    `on_images(n)` is called as images are done.
    """
    check_splits(splits)
    known = frozenset({IGNORE, *(row.id for row in classes)})
    samples: dict[str, tuple[Sample, ...]] = {}
    counts = {split: np.zeros(256, dtype=np.int64) for split in splits}
    for split, pairs in splits.items():
        found = []
        for sample, values in check_pairs(root, pairs, known):
            found.append(sample)
            counts[split] += values
            on_images(1)
        samples[split] = tuple(found)
    return Checked(samples, counts)


def check_splits(splits: Mapping[str, tuple[Pair, ...]]) -> None:
    """There is something to train on, and no image stands in two places."""
    if not splits.get("train"):
        raise DataError("split train is empty: there is nothing to train on")
    seen: dict[str, str] = {}
    for split, pairs in splits.items():
        for pair in pairs:
            if pair.image in seen:
                raise DataError(f"{pair.image} stands in split {seen[pair.image]} and again in {split}")
            seen[pair.image] = split


def check_pairs(root: Path, pairs: tuple[Pair, ...], known: frozenset[int]) -> Iterator[tuple[Sample, np.ndarray]]:
    """`check_pair` of every pair, in order, by a few threads; the rest is given up at the first fault."""
    pool = ThreadPoolExecutor(READERS)
    try:
        yield from pool.map(lambda pair: check_pair(root, pair, known), pairs)
    finally:
        pool.shutdown(cancel_futures=True)


def check_pair(root: Path, pair: Pair, known: frozenset[int]) -> tuple[Sample, np.ndarray]:
    """One image and its label: both are there and readable, sizes agree, every pixel value is listed."""
    image_bytes = read_bytes(root / pair.image, f"label {pair.label} has no image")
    label_bytes = read_bytes(root / pair.label, f"image {pair.image} has no label")
    size_hw = decoded_size(image_bytes, root / pair.image)
    labels_HW = decoded_label(label_bytes, root / pair.label)
    if labels_HW.shape != size_hw:
        raise DataError(
            f"{root / pair.label}: the label is {labels_HW.shape[0]}x{labels_HW.shape[1]}, "
            f"its image {size_hw[0]}x{size_hw[1]} (height x width): make them equal"
        )
    counts = np.bincount(labels_HW.ravel(), minlength=256)
    stray = [int(value) for value in np.flatnonzero(counts) if value not in known]
    if stray:
        raise DataError(
            f"{root / pair.label}: id {stray[0]} ({counts[stray[0]]} pixels) is not in classes.csv: "
            "list it, with ignore = 1 if it should not count"
        )
    return Sample(pair.image, pair.label, sha256(image_bytes), sha256(label_bytes), *size_hw), counts


def read_bytes(path: Path, meaning: str) -> bytes:
    """Content of a file of a pair."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{meaning}: cannot read {path}: {error.strerror}") from error


def decoded_size(content: bytes, path: Path) -> tuple[int, int]:
    """Height and width of an image as it stands upright, after decoding all of it."""
    try:
        with Image.open(BytesIO(content)) as image:
            upright = image.getexif().get(0x0112, 1) < 5
            width, height = image.size
            # JPEG alone obeys: decoding at an eighth of the size finds damage as well, and faster.
            image.draft("RGB", (1, 1))
            image.load()
    except UNREADABLE as error:
        raise unreadable(path, error) from error
    return (height, width) if upright else (width, height)


def decoded_label(content: bytes, path: Path) -> np.ndarray:
    """The pixel values of a label file, uint8 height x width."""
    try:
        with Image.open(BytesIO(content)) as image:
            if image.mode not in LABEL_MODES:
                raise DataError(f"{path}: a label of mode {image.mode}: save it as 8-bit grey or palette PNG")
            return np.array(image)
    except UNREADABLE as error:
        raise unreadable(path, error) from error


def sha256(content: bytes) -> str:
    """Hex digest of a file's content."""
    return hashlib.sha256(content).hexdigest()
