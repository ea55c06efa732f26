"""A user's own data: images/, labels/, classes.csv, and train.txt, val.txt, test.txt if splits are fixed."""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from pipeline.errors import DataError
from stages.datasets.config import DataConfig
from stages.datasets.findings import Finding, Kind, Level
from stages.datasets.layout import (
    IMAGE_SUFFIXES,
    LABEL_SUFFIX,
    SPLITS,
    Layout,
    Pair,
    existing_root,
    files_below,
    read_classes,
    read_splits,
)
from stages.datasets.unused import stem, suffix, unlisted, unread

TRAIN_SHARE, VAL_SHARE = 0.8, 0.1


def source_files(config: DataConfig) -> dict[str, Path]:
    """The lists, the classes, and everything below images/ and labels/."""
    return files_below(existing_root(config.root, config.source))


def collect(config: DataConfig, work: Path) -> Layout:
    """The splits of the lists, or 80/10/10 by a hash of the names where there is no list."""
    root = existing_root(config.root, config.source)
    classes = read_classes(root / "classes.csv")
    listed = tuple(split for split in SPLITS if (root / f"{split}.txt").is_file())
    if listed:
        splits, findings = read_splits(root, listed)
        rule = ", ".join(f"{split}.txt" for split in listed)
        findings = (*findings, *absent_lists(listed, config.holdout), *unlisted(files_below(root), splits))
        return Layout("folder", root, splits, classes, rule, findings=findings)
    pairs, findings = paired(root)
    return Layout(
        "folder", root, split_by_hash(pairs), classes, "a hash of the file names, 80/10/10", findings=findings
    )


def absent_lists(listed: Sequence[str], holdout: Sequence[str]) -> tuple[Finding, ...]:
    """The lists that are not there although others are; val's images may come from `data.holdout` instead."""
    absent = [split for split in SPLITS if split not in listed and not (split == "val" and holdout)]
    return tuple(
        Finding(
            Kind.EMPTY_SPLIT,
            f"{split}.txt",
            f"is not there while {listed[0]}.txt is: split {split} is empty; list all three, or remove every list",
            Level.FAULT if split == "train" else Level.WARNING,
        )
        for split in absent
    )


def paired(root: Path) -> tuple[tuple[Pair, ...], tuple[Finding, ...]]:
    """Images and labels of the same name, in order, and what stands alone; DataError where there is no image."""
    files = files_below(root)
    images, twins = by_stem(f for f in files if f.startswith("images/") and suffix(f) in IMAGE_SUFFIXES)
    labels, _ = by_stem(f for f in files if f.startswith("labels/") and suffix(f) == LABEL_SUFFIX)
    if not images:
        raise DataError(f"no image in {root / 'images'}: put {', '.join(IMAGE_SUFFIXES)} files there")
    alone = [
        missing(images[name], "the image has no label", f"labels/{name}.png")
        if name in images
        else missing(labels[name], "the label has no image", f"images/{name}.*")
        for name in sorted(images.keys() ^ labels.keys())
    ]
    pairs = tuple(Pair(images[name], labels[name]) for name in sorted(images.keys() & labels.keys()))
    return pairs, (*twins, *alone, *unread(files))


def missing(present: str, text: str, expected: str) -> Finding:
    """A file whose other half is not there."""
    return Finding(Kind.MISSING_PAIR, present, f"{text}: expected {expected}")


def by_stem(files: Iterable[str]) -> tuple[dict[str, str], list[Finding]]:
    """Files by their path below images/ or labels/ without the suffix, and those that differ by suffix alone."""
    found: dict[str, str] = {}
    twins = []
    for file in sorted(files):
        name = stem(file)
        if name in found:
            text = f"it and {found[name]} differ only by suffix: keep one"
            twins.append(Finding(Kind.LISTED_TWICE, file, text))
        found.setdefault(name, file)
    return found, twins


def split_by_hash(pairs: tuple[Pair, ...]) -> dict[str, tuple[Pair, ...]]:
    """Each pair in the split that its own name's sha256 gives it, so that new images move no old one.

    Of three pairs or more each split gets at least one: an empty split takes the pair whose hash lies nearest to it,
    which goes back as soon as a pair with a hash of its own is there.
    """
    places = {pair: place(pair) for pair in pairs}
    ranked = sorted(pairs, key=lambda pair: places[pair])
    first_val, first_test = (
        bisect_left(ranked, share, key=lambda pair: places[pair]) for share in (TRAIN_SHARE, TRAIN_SHARE + VAL_SHARE)
    )
    if len(pairs) >= len(SPLITS):
        first_test = min(max(first_test, 2), len(pairs) - 1)
        first_val = min(max(first_val, 1), first_test - 1)
    parts = (ranked[:first_val], ranked[first_val:first_test], ranked[first_test:])
    split_of = {pair: split for split, part in zip(SPLITS, parts, strict=True) for pair in part}
    return {split: tuple(pair for pair in pairs if split_of[pair] == split) for split in SPLITS}


def place(pair: Pair) -> float:
    """Where the sha256 of a pair's name falls, in [0, 1]."""
    stem = PurePosixPath(pair.image).with_suffix("").as_posix()
    return int.from_bytes(hashlib.sha256(stem.encode()).digest()[:8]) / 2**64
