"""Reading every image and label of a data set once: what it holds, and everything that is wrong with it."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from stages.datasets.colours import colours_as_ids
from stages.datasets.findings import Finding, Kind, Level
from stages.datasets.index import Sample
from stages.datasets.layout import IGNORE, ClassRow, Layout, Pair
from stages.datasets.near_duplicates import DRAFT_SIZE, image_bits, near_duplicates
from stages.datasets.pixels import TOO_LARGE, UNREADABLE, why_unreadable

LABEL_MODES = ("L", "P")
DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes of more than 8 bits: their way to RGB cuts off every value above 255."""
READERS = min(8, os.cpu_count() or 1)
TURNED = 5
"""EXIF orientations from here on exchange rows and columns."""


@dataclass(frozen=True)
class Checked:
    """What a data set holds and what is wrong with it."""

    splits: Mapping[str, tuple[Sample, ...]]
    """The samples without a fault, in their order."""
    counts: Mapping[str, np.ndarray]
    """Pixels of their labels by value (256), per split."""
    findings: tuple[Finding, ...]


@dataclass
class Read:
    """One pair after it was read; `sample` stays None where anything is wrong."""

    sample: Sample | None = None
    counts: np.ndarray = field(default_factory=lambda: np.zeros(256, dtype=np.int64))
    bits: np.ndarray | None = None
    findings: list[Finding] = field(default_factory=list)


class Fault(Exception):
    """Carries a finding out of the function that made it."""

    def __init__(self, kind: Kind, file: str, text: str, **facts: object) -> None:
        super().__init__(text)
        self.finding = Finding(kind, file, text, facts=facts)


def check(layout: Layout, published: bool, on_images: Callable[[int], None]) -> Checked:
    """Read every pair once. A duplicate across splits is a warning where the splits are `published`, else a fault.

    `on_images(n)` is called as images are done.
    """
    findings = [*layout.findings, *check_splits(layout)]
    samples: dict[str, tuple[Sample, ...]] = {}
    bits: list[np.ndarray] = []
    counts = {split: np.zeros(256, dtype=np.int64) for split in layout.splits}
    for split, pairs in layout.splits.items():
        found = []
        for read in read_pairs(layout, pairs):
            findings += read.findings
            if read.sample is not None and read.bits is not None:
                found.append(read.sample)
                bits.append(read.bits)
                counts[split] += read.counts
            on_images(1)
        samples[split] = tuple(found)
    findings += duplicates(samples, Level.WARNING if published else Level.FAULT)
    findings += near_duplicates(samples, bits)
    findings += absent_classes(layout, counts)
    return Checked(samples, counts, tuple(findings))


def check_splits(layout: Layout) -> Iterator[Finding]:
    """There is something to train on, and no image stands in two places."""
    told = {finding.file for finding in layout.findings if finding.kind is Kind.EMPTY_SPLIT}
    seen: dict[str, str] = {}
    for split, pairs in {"train": (), **layout.splits}.items():
        if not pairs and f"{split}.txt" not in told:
            level = Level.FAULT if split == "train" else Level.WARNING
            reason = ": there is nothing to train on" if split == "train" else ""
            yield Finding(Kind.EMPTY_SPLIT, ".", f"split {split} is empty{reason}", level)
        for pair in pairs:
            if pair.image in seen:
                text = f"stands in split {seen[pair.image]} and again in {split}: list it once"
                yield Finding(Kind.LISTED_TWICE, pair.image, text)
            seen[pair.image] = split


def read_pairs(layout: Layout, pairs: tuple[Pair, ...]) -> Iterator[Read]:
    """`read_pair` of every pair, in order, by a few threads."""
    with ThreadPoolExecutor(READERS) as pool:
        yield from pool.map(lambda pair: read_pair(layout, pair), pairs)


def read_pair(layout: Layout, pair: Pair) -> Read:
    """One image and its label: both are there and readable, sizes agree, every pixel value is listed."""
    read = Read()
    image_bytes = size_hw = labels_HW = label_bytes = None
    try:
        image_bytes = read_bytes(layout.root, pair.image, f"label {pair.label} has no image")
        size_hw, read.bits, warnings = measured(image_bytes, pair.image)
        read.findings += warnings
    except Fault as fault:
        read.findings.append(fault.finding)
    try:
        if pair.label is not None:
            label_bytes = read_bytes(layout.root, pair.label, f"image {pair.image} has no label")
            labels_HW = decoded_label(label_bytes, pair.label, layout.classes)
            read.counts = np.bincount(labels_HW.ravel(), minlength=256)
            read.findings += label_faults(labels_HW, read.counts, size_hw, pair.label, layout)
    except Fault as fault:
        read.findings.append(fault.finding)
    if image_bytes and size_hw and all(finding.level is Level.WARNING for finding in read.findings):
        label_sha256 = sha256(label_bytes) if label_bytes else None
        read.sample = Sample(pair.image, pair.label, sha256(image_bytes), label_sha256, *size_hw)
    return read


def label_faults(
    labels_HW: np.ndarray, counts: np.ndarray, size_hw: tuple[int, int] | None, file: str, layout: Layout
) -> Iterator[Finding]:
    """What is wrong with a label that could be read; its image's size is not known where that could not."""
    if size_hw and labels_HW.shape != size_hw:
        text = (
            f"the label is {labels_HW.shape[0]}x{labels_HW.shape[1]}, its image {size_hw[0]}x{size_hw[1]} "
            "(height x width): make them equal"
        )
        yield Finding(Kind.SIZE_MISMATCH, file, text)
    known = {IGNORE, *(row.id for row in layout.classes)}
    stray = {int(value): int(counts[value]) for value in np.flatnonzero(counts) if value not in known}
    if stray:
        listed = ", ".join(f"id {value} ({pixels} pixels)" for value, pixels in stray.items())
        be = "is" if len(stray) == 1 else "are"
        text = f"{listed} {be} not in {layout.class_table}: list it, with ignore = 1 if it should not count"
        yield Finding(Kind.UNKNOWN_ID, file, text, facts={"pixels_by_id": stray})


def read_bytes(root: Path, file: str, meaning: str) -> bytes:
    """Content of a file of a pair."""
    try:
        return (root / file).read_bytes()
    except FileNotFoundError as error:
        raise Fault(Kind.MISSING_PAIR, file, f"{meaning}: there is no such file") from error
    except OSError as error:
        raise Fault(Kind.UNREADABLE, file, f"cannot be read: {error.strerror}") from error


def measured(content: bytes, file: str) -> tuple[tuple[int, int], np.ndarray, list[Finding]]:
    """Height and width of an image as it stands upright, after decoding all of it; its perceptual hash; warnings."""
    try:
        with Image.open(BytesIO(content)) as image:
            # Before the orientation: to find that of a PNG, Pillow reads all of it.
            warnings = list(depth_warnings(image, file))
            upright = image.getexif().get(0x0112, 1) < TURNED
            width, height = image.size
            # JPEG alone obeys: decoding at down to an eighth of the size finds damage as well, and faster.
            image.draft("RGB", DRAFT_SIZE)
            return ((height, width) if upright else (width, height)), image_bits(image), warnings
    except (*UNREADABLE, *TOO_LARGE) as error:
        raise unreadable(file, error) from error


def depth_warnings(image: Image.Image, file: str) -> Iterator[Finding]:
    """What becomes of more than 8 bits a channel in an opened, unread picture; Fault where the picture is lost."""
    if image.mode in DEEP_MODES:
        text = f"a picture of mode {image.mode}: its values above 255 would all become white; save it as 8-bit RGB"
        raise Fault(Kind.IMAGE_FORMAT, file, text)
    if any(";16" in str(tile) for tile in getattr(image, "tile", ())):
        text = "16 bits a channel, of which the upper 8 are read: save it as 8-bit RGB if its values are small"
        yield Finding(Kind.IMAGE_FORMAT, file, text, Level.WARNING)


def decoded_label(content: bytes, file: str, classes: Sequence[ClassRow]) -> np.ndarray:
    """The pixel values of a label file, uint8 height x width."""
    try:
        with Image.open(BytesIO(content)) as image:
            image.load()
            if image.mode in LABEL_MODES:
                return np.array(image)
            if image.mode in ("RGB", "RGBA"):
                text, palette = colours_as_ids(np.asarray(image.convert("RGB")), classes)
                raise Fault(Kind.LABEL_FORMAT, file, f"a label of mode {image.mode}: {text}", palette=palette)
            low, high = np.asarray(image).min(), np.asarray(image).max()
    except (*UNREADABLE, *TOO_LARGE) as error:
        raise unreadable(file, error) from error
    text = f"a label of mode {image.mode}, values {low}..{high}: save it as 8-bit grey or palette PNG of class ids"
    raise Fault(Kind.LABEL_FORMAT, file, text)


def unreadable(file: str, error: Exception) -> Fault:
    """The fault of a picture that Pillow refuses."""
    kind = Kind.TOO_LARGE if isinstance(error, TOO_LARGE) else Kind.UNREADABLE
    return Fault(kind, file, why_unreadable(error))


def duplicates(samples: Mapping[str, tuple[Sample, ...]], level: Level) -> Iterator[Finding]:
    """Images that are byte for byte the same in two splits."""
    places: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for split, members in samples.items():
        for sample in members:
            places[sample.image_sha256].append((split, sample.image))
    for (split, image), *others in places.values():
        for other_split, other in others:
            if other_split != split:
                text = (
                    f"the same picture as {image}: one in split {other_split}, one in {split}; keep it in one of them"
                )
                yield Finding(Kind.DUPLICATE, other, text, level, {"same_as": image})


def absent_classes(layout: Layout, counts: Mapping[str, np.ndarray]) -> Iterator[Finding]:
    """Classes of which there is nothing to learn."""
    total = sum(counts.values(), np.zeros(256, dtype=np.int64))
    learned = counts["train"] if layout.splits.get("train") else total
    for row in layout.classes:
        if row.ignore or learned[row.id]:
            continue
        where = "in split train: it cannot be learned" if total[row.id] else "in any split"
        text = f"class {row.name} (id {row.id}) has no pixel {where}"
        yield Finding(Kind.ABSENT_CLASS, layout.class_table, text, Level.WARNING, {"class": row.name})


def sha256(content: bytes) -> str:
    """Hex digest of a file's content."""
    return hashlib.sha256(content).hexdigest()
