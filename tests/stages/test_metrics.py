"""The confusion matrix equals counting pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DataError
from stages.metrics import BoundaryCounts, Confusion, Tally, near_boundary


def brute_force(pairs: list[tuple[np.ndarray, np.ndarray]], classes: int) -> list[float | None]:
    """IoU by class from sets of pixels."""
    ious: list[float | None] = []
    for c in range(classes):
        hit = union = 0
        for prediction, label in pairs:
            for p, t in zip(prediction.ravel().tolist(), label.ravel().tolist(), strict=True):
                if t != 255:
                    hit += p == c and t == c
                    union += p == c or t == c
        ious.append(hit / union if union else None)
    return ious


def score(pairs: list[tuple[np.ndarray, np.ndarray]], classes: int) -> dict:
    confusion = Confusion(classes)
    for prediction, label in pairs:
        confusion.add(prediction, label)
    return confusion.scores([f"c{i}" for i in range(classes)])


def test_hand_computed() -> None:
    label = np.array([[0, 0, 1], [1, 255, 255]], np.uint8)
    prediction = np.array([[0, 1, 1], [1, 0, 2]], np.uint8)
    scores = score([(prediction, label)], 4)
    assert scores["per_class_iou"] == {"c0": 1 / 2, "c1": 2 / 3, "c2": None, "c3": None}
    assert scores["miou"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert scores["pixel_accuracy"] == 3 / 4
    assert scores["frequency_weighted_iou"] == pytest.approx((2 * 1 / 2 + 2 * 2 / 3) / 4)


@pytest.mark.parametrize("seed", range(5))
def test_equals_brute_force_on_random_labels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes = 6
    ids = np.array([0, 1, 2, 4, 255], np.uint8)
    pairs = [
        (rng.choice(ids[:4], (9, 13)).astype(np.uint8), rng.choice(ids, (9, 13)).astype(np.uint8)) for _ in range(3)
    ]
    scores, expected = score(pairs, classes), brute_force(pairs, classes)
    assert list(scores["per_class_iou"].values()) == expected
    assert scores["miou"] == pytest.approx(np.mean([iou for iou in expected if iou is not None]), abs=1e-15)


def test_equals_brute_force_on_camvid(shared: Path) -> None:
    files = sorted((shared / "data/camvid/labels/test").iterdir())[:2]
    labels = [np.asarray(Image.open(file))[::4, ::4].copy() for file in files]
    for label in labels:
        label[label == 11] = 255
    predictions = [np.where(label == 255, 3, np.roll(label, 7)) for label in labels]
    predictions = [np.where(p == 255, 0, p).astype(np.uint8) for p in predictions]
    pairs = list(zip(predictions, labels, strict=True))
    assert list(score(pairs, 11)["per_class_iou"].values()) == brute_force(pairs, 11)


def test_a_class_that_is_only_predicted_counts_as_zero() -> None:
    scores = score([(np.array([1, 0], np.uint8), np.array([0, 0], np.uint8))], 2)
    assert scores["per_class_iou"] == {"c0": 0.5, "c1": 0.0}
    assert scores["miou"] == 0.25


def test_nothing_labelled_is_an_error() -> None:
    with pytest.raises(DataError, match="every label is ignored"):
        score([(np.zeros(4, np.uint8), np.full(4, 255, np.uint8))], 2)


def in_square(mask: np.ndarray, width: int) -> np.ndarray:
    """Pixels of a mask with anything but the mask, or the outside, within `width` rows and columns: by definition."""
    height, columns = mask.shape
    near = np.zeros_like(mask)
    for y, x in zip(*np.nonzero(mask), strict=True):
        around = [
            0 <= y + dy < height and 0 <= x + dx < columns and mask[y + dy, x + dx]
            for dy in range(-width, width + 1)
            for dx in range(-width, width + 1)
        ]
        near[y, x] = not all(around)
    return near


@pytest.mark.parametrize("seed", range(4))
def test_boundary_iou_equals_its_definition_class_by_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes, ratio = 4, 0.1
    coarse = [rng.choice(np.array([0, 1, 2, 255], np.uint8), (4, 6)) for _ in range(2)]
    label, prediction = (np.kron(c, np.ones((5, 4), np.uint8)) for c in coarse)
    prediction[prediction == 255] = 1
    counts = BoundaryCounts(classes, ratio)
    counts.add(prediction, label)
    width = round(ratio * np.hypot(*label.shape))
    assert width == 3
    ignored = label == 255
    for c in range(classes):
        of_label, of_prediction = (in_square((ids == c) & ~ignored, width) for ids in (label, prediction))
        assert counts.hits[c] == (of_label & of_prediction).sum()
        assert counts.unions[c] == (of_label | of_prediction).sum()


def test_boundary_scores() -> None:
    label = np.zeros((40, 40), np.uint8)
    label[:, 20:] = 1
    shifted = np.roll(label, 1, axis=1)
    shifted[:, 0] = 0
    tally = Tally(3, 0.02)
    tally.add(shifted, label)
    scores = tally.scores(["a", "b", "c"])
    assert scores["boundary_ratio"] == 0.02 and scores["per_class_boundary_iou"]["c"] is None
    assert scores["boundary_miou"] < scores["miou"] < 1
    perfect = Tally(3, 0.02)
    perfect.add(label, label)
    assert perfect.scores(["a", "b", "c"])["boundary_miou"] == 1


def test_the_border_of_a_picture_is_a_boundary() -> None:
    assert near_boundary(np.zeros((5, 7), np.uint8), 2).sum() == 35 - 3


def test_tallies_of_parts_sum_to_the_whole() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.integers(0, 4, (9, 9), dtype=np.uint8), rng.integers(0, 4, (9, 9), dtype=np.uint8)) for _ in range(7)]
    whole, *parts = (Tally(4, 0.1) for _ in range(4))
    for n, (prediction, label) in enumerate(pairs):
        whole.add(prediction, label)
        parts[n % 3].add(prediction, label)
    vectors: list[np.ndarray] = []
    for part in parts:
        part.reduce(lambda vector: vectors.append(vector) or vector)
    parts[0].reduce(lambda vector: np.sum(vectors, axis=0))
    assert parts[0].scores(list("abcd")) == whole.scores(list("abcd"))
