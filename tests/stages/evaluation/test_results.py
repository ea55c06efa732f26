"""Scores as tables and as a picture."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.evaluation.results import confusion_csv, draw_confusion, results_table
from stages.metrics import Tally

NAMES = ["road", "sky, upper", "cat"]


def scores() -> dict:
    tally = Tally(3, 0.02)
    label = np.repeat(np.array([0, 1], np.uint8), 50).reshape(10, 10)
    prediction = label.copy()
    prediction[0] = 1
    tally.add(prediction, label)
    return {**tally.scores(NAMES), "images": 4}


def test_the_table_has_a_row_for_each_class_and_a_column_for_each_subset() -> None:
    table = results_table("test", {**scores(), "subsets": {"Seq05VD": {**scores(), "images": 1}}}).splitlines()
    assert "Seq05VD*, 1: IoU" in table[0] and "boundary: 2 % of the diagonal" in table[0]
    assert table[2].startswith("| road | 80.00 |") and table[4].startswith("| cat | - | - | - | - |")
    assert table[5].startswith("| **mean** | **81.67** |")
    assert len({line.count("|") for line in table}) == 1


def test_the_counts_are_csv() -> None:
    rows = list(csv.reader(confusion_csv(np.arange(9).reshape(3, 3), NAMES).splitlines()))
    assert rows[0] == ["label \\ prediction", *NAMES] and rows[2] == ["sky, upper", "3", "4", "5"]


@pytest.mark.parametrize("classes", [2, 30])
def test_the_heat_map_is_drawn(tmp_path: Path, classes: int) -> None:
    counts = np.random.default_rng(0).integers(0, 99, (classes, classes))
    counts[1] = 0
    draw_confusion(tmp_path / "a.png", counts, [f"class {i}" for i in range(classes)], "test")
    with Image.open(tmp_path / "a.png") as picture:
        assert min(picture.size) > 300
