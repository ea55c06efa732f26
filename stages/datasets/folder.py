"""A user's own data: images/, labels/, classes.csv, and train.txt, val.txt, test.txt if splits are fixed."""

import hashlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pipeline.errors import DataError
from stages.datasets.config import DataConfig
from stages.datasets.layout import SPLITS, Layout, Pair, existing_root, files_below, read_classes, read_split

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
TRAIN_SHARE, VAL_SHARE = 0.8, 0.1


def collect(config: DataConfig, work: Path) -> Layout:
    """The splits of the lists, or 80/10/10 by a hash of the names where there is no list."""
    root = existing_root(config.root, config.source)
    classes = read_classes(root / "classes.csv")
    listed = [split for split in SPLITS if (root / f"{split}.txt").is_file()]
    if listed:
        splits = {split: read_split(root, f"{split}.txt") for split in listed}
        return Layout("folder", root, splits, classes, ", ".join(f"{split}.txt" for split in listed))
    splits = split_by_hash(paired(root))
    return Layout("folder", root, splits, classes, "a hash of the file names, 80/10/10")


def paired(root: Path) -> tuple[Pair, ...]:
    """Images and labels of the same name, in order; DataError naming one that stands alone."""
    files = files_below(root)
    images = by_stem((f for f in files if f.startswith("images/") and suffix(f) in IMAGE_SUFFIXES), root)
    labels = by_stem((f for f in files if f.startswith("labels/") and suffix(f) == ".png"), root)
    if not images:
        raise DataError(f"no image in {root / 'images'}: put {', '.join(IMAGE_SUFFIXES)} files there")
    for stem in sorted(images.keys() ^ labels.keys()):
        if stem in images:
            raise DataError(f"image {root / images[stem]} has no label: expected {root}/labels/{stem}.png")
        raise DataError(f"label {root / labels[stem]} has no image: expected {root}/images/{stem}.*")
    return tuple(Pair(images[stem], labels[stem]) for stem in sorted(images))


def suffix(file: str) -> str:
    """The suffix in lower case, with its dot."""
    return PurePosixPath(file).suffix.lower()


def by_stem(files: Iterable[str], root: Path) -> dict[str, str]:
    """Files by their path below images/ or labels/ without the suffix."""
    found: dict[str, str] = {}
    for file in files:
        stem = PurePosixPath(*PurePosixPath(file).parts[1:]).with_suffix("").as_posix()
        if stem in found:
            raise DataError(f"{root / found[stem]} and {root / file} differ only by suffix: keep one")
        found[stem] = file
    return found


def split_by_hash(pairs: tuple[Pair, ...]) -> dict[str, tuple[Pair, ...]]:
    """Each pair in the split that its own name's sha256 gives it, so that new images move no old one."""
    splits: dict[str, list[Pair]] = {split: [] for split in SPLITS}
    for pair in pairs:
        stem = PurePosixPath(pair.image).with_suffix("").as_posix()
        place = int.from_bytes(hashlib.sha256(stem.encode()).digest()[:8]) / 2**64
        split = "train" if place < TRAIN_SHARE else "val" if place < TRAIN_SHARE + VAL_SHARE else "test"
        splits[split].append(pair)
    return {split: tuple(members) for split, members in splits.items()}
