"""A user's own data: images/, labels/, classes.csv, and train.txt, val.txt, test.txt if splits are fixed."""

import hashlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pipeline.errors import DataError
from stages.datasets.config import DataConfig
from stages.datasets.findings import Finding, Kind
from stages.datasets.layout import SPLITS, Layout, Pair, existing_root, files_below, read_classes, read_splits

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
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
        return Layout("folder", root, splits, classes, rule, findings=findings)
    pairs, findings = paired(root)
    return Layout(
        "folder", root, split_by_hash(pairs), classes, "a hash of the file names, 80/10/10", findings=findings
    )


def paired(root: Path) -> tuple[tuple[Pair, ...], tuple[Finding, ...]]:
    """Images and labels of the same name, in order, and what stands alone; DataError where there is no image."""
    files = files_below(root)
    images, twins = by_stem(f for f in files if f.startswith("images/") and suffix(f) in IMAGE_SUFFIXES)
    labels, _ = by_stem(f for f in files if f.startswith("labels/") and suffix(f) == ".png")
    if not images:
        raise DataError(f"no image in {root / 'images'}: put {', '.join(IMAGE_SUFFIXES)} files there")
    alone = [
        missing(images[stem], "the image has no label", f"labels/{stem}.png")
        if stem in images
        else missing(labels[stem], "the label has no image", f"images/{stem}.*")
        for stem in sorted(images.keys() ^ labels.keys())
    ]
    pairs = tuple(Pair(images[stem], labels[stem]) for stem in sorted(images.keys() & labels.keys()))
    return pairs, (*twins, *alone)


def missing(present: str, text: str, expected: str) -> Finding:
    """A file whose other half is not there."""
    return Finding(Kind.MISSING_PAIR, present, f"{text}: expected {expected}")


def suffix(file: str) -> str:
    """The suffix in lower case, with its dot."""
    return PurePosixPath(file).suffix.lower()


def by_stem(files: Iterable[str]) -> tuple[dict[str, str], list[Finding]]:
    """Files by their path below images/ or labels/ without the suffix, and those that differ by suffix alone."""
    found: dict[str, str] = {}
    twins = []
    for file in sorted(files):
        stem = PurePosixPath(*PurePosixPath(file).parts[1:]).with_suffix("").as_posix()
        if stem in found:
            text = f"it and {found[stem]} differ only by suffix: keep one"
            twins.append(Finding(Kind.LISTED_TWICE, file, text))
        found.setdefault(stem, file)
    return found, twins


def split_by_hash(pairs: tuple[Pair, ...]) -> dict[str, tuple[Pair, ...]]:
    """Each pair in the split that its own name's sha256 gives it, so that new images move no old one."""
    splits: dict[str, list[Pair]] = {split: [] for split in SPLITS}
    for pair in pairs:
        stem = PurePosixPath(pair.image).with_suffix("").as_posix()
        place = int.from_bytes(hashlib.sha256(stem.encode()).digest()[:8]) / 2**64
        split = "train" if place < TRAIN_SHARE else "val" if place < TRAIN_SHARE + VAL_SHARE else "test"
        splits[split].append(pair)
    return {split: tuple(members) for split, members in splits.items()}
