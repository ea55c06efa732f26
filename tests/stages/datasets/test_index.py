"""The index on disk, the label map, and where the images are."""

from pathlib import Path

import pytest

from pipeline.errors import DataError
from stages.datasets.index import (
    Index,
    LabelClass,
    Sample,
    images_root,
    label_map,
    network_classes,
    read_index,
    write_index,
)
from stages.datasets.layout import ClassRow
from stages.preprocess import Preprocess

ROWS = (
    ClassRow(7, "sky", (9, 9, 9), False),
    ClassRow(5, "void", (0, 0, 0), True),
    ClassRow(0, "road", (1, 2, 3), False),
)


def make_index(embedded: bool) -> Index:
    sample = Sample("images/a.png", "labels/a.png", "0" * 64, "1" * 64, 12, 16)
    pre = Preprocess(8, 10, "letterbox")
    return Index("small", pre, embedded, label_map(ROWS), {"train": (sample,)}, network_classes(ROWS))


def test_classes_are_numbered_without_gaps_in_order_of_their_ids() -> None:
    assert network_classes(ROWS) == (LabelClass(0, "road", (1, 2, 3)), LabelClass(1, "sky", (9, 9, 9)))


def test_label_map_sends_everything_else_to_ignore() -> None:
    table = label_map(ROWS)
    assert len(table) == 256
    assert {value: table[value] for value in (0, 5, 7, 8, 255)} == {0: 0, 5: 255, 7: 1, 8: 255, 255: 255}


def test_round_trip(tmp_path: Path) -> None:
    index = make_index(embedded=False)
    write_index(tmp_path, index)
    assert read_index(tmp_path) == index
    assert index.size_px == (8, 10)
    assert index.samples("val") == ()


def test_images_root(tmp_path: Path) -> None:
    assert images_root(tmp_path, make_index(embedded=True), {"data.root": None}) == tmp_path
    elsewhere = make_index(embedded=False)
    assert images_root(Path("artifact"), elsewhere, {"data.root": tmp_path}) == tmp_path
    with pytest.raises(DataError, match=r"--set data.root=PATH"):
        images_root(Path("artifact"), elsewhere, {"data.root": None})
