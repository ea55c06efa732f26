"""ADE20K in the layout of the scene parsing challenge."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DataError
from stages.datasets.ade20k import classes, collect, source_files
from stages.datasets.checks import check
from stages.datasets.config import DataConfig
from stages.datasets.findings import Kind, Level
from stages.datasets.index import label_map


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        for top, mode in (("images", 3), ("annotations", None)):
            (tmp_path / "ADEChallengeData2016" / top / split).mkdir(parents=True)
            array = np.full((6, 8, 3) if mode else (6, 8), 150, np.uint8)
            end = ".jpg" if mode else ".png"
            Image.fromarray(array).save(tmp_path / f"ADEChallengeData2016/{top}/{split}/{name}{end}")
    return tmp_path


def test_folders_are_splits_and_0_is_ignored(root: Path) -> None:
    layout = collect(DataConfig(source="ade20k", root=root), root)
    assert layout.splits["val"][0].label == "ADEChallengeData2016/annotations/validation/ADE_val_00000001.png"
    table = label_map(layout.classes)
    assert (table[0], table[1], table[150], table[151]) == (255, 0, 149, 255)
    assert len(source_files(DataConfig(source="ade20k", root=root))) == 4


def test_missing_halves_are_named(root: Path) -> None:
    base = root / "ADEChallengeData2016"
    (base / "annotations/training/ADE_train_00000001.png").unlink()
    (base / "images/validation/ADE_val_00000001.jpg").unlink()
    findings = collect(DataConfig(source="ade20k", root=base), root).findings
    assert [(finding.kind, finding.file) for finding in findings] == [
        (Kind.MISSING_PAIR, "images/training/ADE_train_00000001.jpg"),
        (Kind.MISSING_PAIR, "annotations/validation/ADE_val_00000001.png"),
    ]


def test_names_come_from_the_published_table_where_it_lies_there(tmp_path: Path) -> None:
    info = tmp_path / "objectInfo150.txt"
    info.write_text("Idx\tRatio\tTrain\tVal\tStuff\tName\n1\t0.1\t1\t1\t1\twall, partition\n2\t0.1\t1\t1\t1\twall\n")
    named = {row.id: row.name for row in classes(info)}
    assert (named[1], named[2], named[3]) == ("wall 1", "wall 2", "sky")
    info.write_text("Idx Ratio\n1 0.1\n")
    with pytest.raises(DataError, match=r"objectInfo150.txt:2: is no line"):
        classes(info)


def test_no_annotations(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no annotations/ below"):
        collect(DataConfig(source="ade20k", root=tmp_path), tmp_path)


def test_the_real_images(shared: Path) -> None:
    layout = collect(DataConfig(source="ade20k", root=shared / "data/layouts"), Path())
    checked = check(layout, True, lambda n: None)
    assert len(checked.splits["val"]) == 3 and checked.counts["val"][1:].any()
    assert {f.kind for f in checked.findings if f.level is Level.FAULT} == {Kind.EMPTY_SPLIT}
