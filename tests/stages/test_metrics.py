"""The confusion matrix equals counting pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DataError
from stages.metrics import Confusion


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
