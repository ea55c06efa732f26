"""Every fault of a pair is found and names its file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DataError
from stages.datasets.checks import check, check_pair
from stages.datasets.layout import ClassRow, Pair, read_classes, read_split

KNOWN = frozenset({0, 5, 7, 255})
PAIR = Pair("images/a.png", "labels/a.png")


def save(root: Path, file: str, array: np.ndarray) -> None:
    Image.fromarray(array).save(root / file)


def truncate(root: Path, file: str) -> None:
    content = (root / file).read_bytes()
    (root / file).write_bytes(content[: len(content) // 2])


FAULTS: list[tuple[Callable[[Path], object], str]] = [
    (lambda root: (root / "images/a.png").unlink(), r"label labels/a.png has no image.*images/a.png"),
    (lambda root: (root / "labels/a.png").unlink(), r"image images/a.png has no label.*labels/a.png"),
    (
        lambda root: save(root, "labels/a.png", np.zeros((12, 15), np.uint8)),
        r"labels/a.png: the label is 12x15, its image 12x16",
    ),
    (
        lambda root: save(root, "labels/a.png", np.full((12, 16), 3, np.uint8)),
        r"labels/a.png: id 3 \(192 pixels\) is not in classes.csv",
    ),
    (
        lambda root: save(root, "labels/a.png", np.zeros((12, 16), np.uint16)),
        r"labels/a.png: a label of mode I;16",
    ),
    (
        lambda root: save(root, "labels/a.png", np.zeros((12, 16, 3), np.uint8)),
        r"labels/a.png: a label of mode RGB",
    ),
    (lambda root: truncate(root, "images/a.png"), r"images/a.png: cannot be read as a picture"),
    (lambda root: truncate(root, "labels/a.png"), r"labels/a.png: cannot be read as a picture"),
    (lambda root: (root / "images/a.png").write_text("no picture"), r"images/a.png: cannot be read"),
]


@pytest.mark.parametrize(("damage", "message"), FAULTS)
def test_faults_name_their_file(small: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(small)
    with pytest.raises(DataError, match=message) as caught:
        check_pair(small, PAIR, KNOWN)
    assert "\n" not in str(caught.value)


def test_a_truncated_jpeg_is_found(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    save(tmp_path, "a.jpg", noise)
    save(tmp_path, "a.png", np.zeros((64, 64), np.uint8))
    check_pair(tmp_path, Pair("a.jpg", "a.png"), KNOWN)
    truncate(tmp_path, "a.jpg")
    with pytest.raises(DataError, match=r"a.jpg: cannot be read"):
        check_pair(tmp_path, Pair("a.jpg", "a.png"), KNOWN)


def test_a_turned_photo_is_measured_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((10, 20, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    save(tmp_path, "a.png", np.zeros((20, 10), np.uint8))
    sample, _ = check_pair(tmp_path, Pair("a.jpg", "a.png"), KNOWN)
    assert (sample.height, sample.width) == (20, 10)


def test_samples_and_counts(small: Path) -> None:
    splits = {split: read_split(small, f"{split}.txt") for split in ("train", "val", "test")}
    seen: list[int] = []
    checked = check(small, splits, read_classes(small / "classes.csv"), seen.append)
    assert sum(seen) == 6
    assert {split: len(samples) for split, samples in checked.splits.items()} == {
        "train": 3,
        "val": 1,
        "test": 2,
    }
    labels = [np.asarray(Image.open(small / sample.label)) for sample in checked.splits["train"]]
    assert np.array_equal(checked.counts["train"], np.bincount(np.concatenate(labels).ravel(), minlength=256))


def test_the_first_fault_in_order_is_raised(small: Path) -> None:
    for name in "cab":
        truncate(small, f"labels/{name}.png")
    with pytest.raises(DataError, match=r"labels/a.png"):
        check(small, {"train": read_split(small, "train.txt")}, [ClassRow(0, "x", (0, 0, 0), False)], print)


def test_splits_overlap_or_lack_training(small: Path) -> None:
    classes = read_classes(small / "classes.csv")
    with pytest.raises(DataError, match="split train is empty"):
        check(small, {"val": (PAIR,)}, classes, print)
    with pytest.raises(DataError, match=r"images/a.png stands in split train and again in test"):
        check(small, {"train": (PAIR,), "test": (PAIR,)}, classes, print)
