"""Every fault is found, and names its file."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DataError
from stages.datasets.checks import Checked, Read, check, read_pair
from stages.datasets.findings import Finding, Kind, Level, stop_at_faults
from stages.datasets.layout import ClassRow, Layout, Pair, read_classes, read_split
from stages.preprocess import read_image

PAIR = Pair("images/a.png", "labels/a.png")
SPLITS = ("train", "val", "test")


def save(root: Path, file: str, array: np.ndarray) -> None:
    Image.fromarray(array).save(root / file)


def truncate(root: Path, file: str) -> None:
    content = (root / file).read_bytes()
    (root / file).write_bytes(content[: len(content) // 2])


def layout_of(root: Path, **splits: tuple[Pair, ...]) -> Layout:
    found = splits or {split: read_split(root, f"{split}.txt")[0] for split in SPLITS}
    return Layout("small", root, found, read_classes(root / "classes.csv"), "lists")


def read_one(root: Path, pair: Pair = PAIR) -> Read:
    return read_pair(layout_of(root), pair)


def checked(root: Path, published: bool = False, **splits: tuple[Pair, ...]) -> Checked:
    return check(layout_of(root, **splits), published, lambda n: None)


FAULTS: list[tuple[Callable[[Path], object], Kind, str, str]] = [
    (
        lambda root: (root / "images/a.png").unlink(),
        Kind.MISSING_PAIR,
        "images/a.png",
        "label labels/a.png has no image",
    ),
    (
        lambda root: (root / "labels/a.png").unlink(),
        Kind.MISSING_PAIR,
        "labels/a.png",
        "image images/a.png has no label",
    ),
    (
        lambda root: save(root, "labels/a.png", np.zeros((12, 15), np.uint8)),
        Kind.SIZE_MISMATCH,
        "labels/a.png",
        "the label is 12x15, its image 12x16",
    ),
    (
        lambda root: save(root, "labels/a.png", np.full((12, 16), 3, np.uint8)),
        Kind.UNKNOWN_ID,
        "labels/a.png",
        r"id 3 \(192 pixels\) is not in classes.csv",
    ),
    (
        lambda root: save(root, "labels/a.png", np.full((12, 16), 700, np.uint16)),
        Kind.LABEL_FORMAT,
        "labels/a.png",
        r"a label of mode I;16, values 700\.\.700: save it as 8-bit",
    ),
    (
        lambda root: save(root, "labels/a.png", np.full((12, 16, 3), 9, np.uint8)),
        Kind.LABEL_FORMAT,
        "labels/a.png",
        r"a label of mode RGB: it holds colours.*palette: #090909 = 7 sky",
    ),
    (
        lambda root: save(root, "images/a.png", np.full((12, 16), 700, np.uint16)),
        Kind.IMAGE_FORMAT,
        "images/a.png",
        "a picture of mode I;16: its values above 255 would all become white",
    ),
    (lambda root: truncate(root, "images/a.png"), Kind.UNREADABLE, "images/a.png", "cannot be read as a picture"),
    (lambda root: truncate(root, "labels/a.png"), Kind.UNREADABLE, "labels/a.png", "cannot be read as a picture"),
    (lambda root: (root / "images/a.png").write_text("x"), Kind.UNREADABLE, "images/a.png", "cannot be read"),
]


@pytest.mark.parametrize(("damage", "kind", "file", "text"), FAULTS)
def test_a_fault_of_a_pair(small: Path, damage: Callable[[Path], object], kind: Kind, file: str, text: str) -> None:
    damage(small)
    read = read_one(small)
    assert read.sample is None
    assert [(finding.kind, finding.file, finding.level) for finding in read.findings] == [(kind, file, Level.FAULT)]
    with pytest.raises(DataError, match=f"1 fault: {file}: .*{text}.*data check .* --source folder") as caught:
        stop_at_faults(read.findings, "folder", small)
    assert "\n" not in str(caught.value)


def test_a_pair_can_have_two_faults(small: Path) -> None:
    truncate(small, "images/a.png")
    save(small, "labels/a.png", np.full((12, 16), 3, np.uint8))
    assert {finding.kind for finding in read_one(small).findings} == {Kind.UNREADABLE, Kind.UNKNOWN_ID}


def test_a_huge_picture_is_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (150, 50):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        findings = read_one(small).findings
        assert [finding.kind for finding in findings] == [Kind.TOO_LARGE] * 2
        assert f"more than {limit} pixels" in findings[0].text and findings[0].file == "images/a.png"


def test_a_truncated_jpeg_is_found(small: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    save(small, "a.jpg", noise)
    save(small, "a.png", np.zeros((64, 64), np.uint8))
    assert read_one(small, Pair("a.jpg", "a.png")).sample
    truncate(small, "a.jpg")
    (finding,) = read_one(small, Pair("a.jpg", "a.png")).findings
    assert (finding.kind, finding.file) == (Kind.UNREADABLE, "a.jpg")


def test_16_bits_a_channel_are_told(small: Path) -> None:
    content = cv2.imencode(".png", np.full((12, 16, 3), 70 << 8, np.uint16))[1].tobytes()
    (small / "images/a.png").write_bytes(content)
    read = read_one(small)
    assert [(f.kind, f.level) for f in read.findings] == [(Kind.IMAGE_FORMAT, Level.WARNING)]
    assert read.sample and read_image(small / "images/a.png")[0, 0].tolist() == [70, 70, 70]


def test_a_turned_photo_is_measured_upright(small: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((10, 20, 3), np.uint8)).save(small / "a.jpg", exif=exif)
    save(small, "a.png", np.zeros((20, 10), np.uint8))
    sample = read_one(small, Pair("a.jpg", "a.png")).sample
    assert sample and (sample.height, sample.width) == (20, 10)


def test_samples_and_counts(small: Path) -> None:
    seen: list[int] = []
    found = check(layout_of(small), False, seen.append)
    assert sum(seen) == 6 and found.findings == ()
    assert {split: len(samples) for split, samples in found.splits.items()} == {"train": 3, "val": 1, "test": 2}
    labels = [np.asarray(Image.open(small / str(sample.label))) for sample in found.splits["train"]]
    assert np.array_equal(found.counts["train"], np.bincount(np.concatenate(labels).ravel(), minlength=256))


def test_an_image_without_a_published_label_is_a_sample(small: Path) -> None:
    sample = read_one(small, Pair("images/a.png", None)).sample
    assert sample and sample.label is None and sample.label_sha256 is None


def test_all_faults_are_listed_in_order(small: Path) -> None:
    for name in "fcab":
        truncate(small, f"labels/{name}.png")
    found = checked(small)
    faults = [finding.file for finding in found.findings if finding.kind is Kind.UNREADABLE]
    assert faults == [f"labels/{name}.png" for name in "abcf"]
    assert [sample.image for sample in found.splits["test"]] == ["images/e.png"]
    with pytest.raises(DataError, match=r"4 faults: .*a\.png.*b\.png.*c\.png.*; 1 more; list all"):
        stop_at_faults(found.findings, "folder", small)


def test_empty_and_overlapping_splits(small: Path) -> None:
    (finding, *_) = checked(small, val=(PAIR,)).findings
    assert finding.kind is Kind.EMPTY_SPLIT and "split train is empty" in finding.text
    twice = checked(small, train=(PAIR,), test=(PAIR,)).findings
    assert (Kind.LISTED_TWICE, "images/a.png") in {(finding.kind, finding.file) for finding in twice}


@pytest.mark.parametrize(("published", "level"), [(False, Level.FAULT), (True, Level.WARNING)])
def test_a_duplicate_across_splits(small: Path, published: bool, level: Level) -> None:
    (small / "images/e.png").write_bytes((small / "images/b.png").read_bytes())
    (finding,) = checked(small, published).findings
    assert (finding.kind, finding.file, finding.level) == (Kind.DUPLICATE, "images/e.png", level)
    assert "images/b.png" in finding.text


def test_a_class_that_never_occurs(small: Path) -> None:
    with (small / "classes.csv").open("a") as file:
        file.write("9,unicorn,1,1,1,0\n")
    (finding,) = checked(small).findings
    assert (finding.kind, finding.level) == (Kind.ABSENT_CLASS, Level.WARNING)
    assert finding.text == "class unicorn (id 9) has no pixel in any split"


def test_a_class_that_occurs_outside_train_alone(small: Path) -> None:
    with (small / "classes.csv").open("a") as file:
        file.write("9,unicorn,1,1,1,0\n")
    save(small, "labels/d.png", np.full((12, 16), 9, np.uint8))
    (finding,) = checked(small).findings
    assert finding.text.endswith("has no pixel in split train: it cannot be learned")


def test_warnings_do_not_stop() -> None:
    stop_at_faults([Finding(Kind.NEAR_DUPLICATE, "a.png", "looks like b.png", Level.WARNING)], "folder", Path())


def test_ids_of_a_published_table_are_named_by_it(small: Path) -> None:
    layout = Layout("voc", small, {"train": (PAIR,)}, (ClassRow(0, "x", (0, 0, 0), False),), "", "voc.csv")
    (finding,) = read_pair(layout, PAIR).findings
    assert "are not in voc.csv" in finding.text
