"""PASCAL VOC 2012 in the layout of its development kit."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DataError
from stages.datasets.catalogue import published_classes
from stages.datasets.checks import check
from stages.datasets.config import DataConfig
from stages.datasets.findings import Kind
from stages.datasets.layout import Layout
from stages.datasets.voc import collect, source_files

BASE = "VOCdevkit/VOC2012"
PALETTE = bytes(value for row in published_classes("voc")[:21] for value in row.rgb)


def write_lists(root: Path, **lists: str) -> None:
    folder = root / BASE / "ImageSets/Segmentation"
    folder.mkdir(parents=True, exist_ok=True)
    for split, names in lists.items():
        (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names.split()))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two training images, one of val and one of test, palette labels with a border of 255."""
    write_lists(tmp_path, train="2007_000032 2007_000039", val="2007_000033", test="2008_000006")
    rng = np.random.default_rng(0)
    for folder in ("JPEGImages", "SegmentationClass"):
        (tmp_path / BASE / folder).mkdir()
    for name in ("2007_000032", "2007_000039", "2007_000033", "2008_000006", "2009_000001"):
        noise = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / BASE / f"JPEGImages/{name}.jpg")
        ids = np.zeros((20, 30), np.uint8)
        ids[5:15, 5:15] = 255
        ids[6:14, 6:14] = 15
        label = Image.fromarray(ids)
        label.putpalette(PALETTE)
        label.save(tmp_path / BASE / f"SegmentationClass/{name}.png")
    return tmp_path


def collected(root: Path, **fields: str) -> Layout:
    return collect(DataConfig(source="voc", root=root, **fields), root)


def test_lists_and_palette_labels(root: Path) -> None:
    layout = collected(root)
    assert {split: len(pairs) for split, pairs in layout.splits.items()} == {"train": 2, "val": 1, "test": 1}
    assert layout.splits["test"][0].label is None
    checked = check(layout, True, lambda n: None)
    assert {finding.kind for finding in checked.findings} == {Kind.ABSENT_CLASS}
    counts = checked.counts["train"]
    assert counts[15] == 2 * 64 and counts[255] == 2 * 36 and counts[0] == 2 * 500


@pytest.mark.parametrize("inside", ["VOCdevkit", BASE])
def test_any_folder_on_the_way_is_a_root(root: Path, inside: str) -> None:
    assert len(collected(root / inside).splits["train"]) == 2


def test_the_augmented_list_only_when_asked_for(root: Path) -> None:
    with pytest.raises(DataError, match=r"no file .*train_aug.txt: put SBD's list there"):
        collected(root, train_list="train_aug")
    write_lists(root, trainaug="2007_000032 2007_000039 2009_000001")
    assert len(collected(root).splits["train"]) == 2
    assert len(collected(root, train_list="train_aug").splits["train"]) == 3
    (root / BASE / "SegmentationClassAug").mkdir()
    layout = collected(root, train_list="train_aug")
    assert layout.splits["train"][0].label == f"{BASE}/SegmentationClassAug/2007_000032.png"
    assert layout.splits["val"][0].label == f"{BASE}/SegmentationClass/2007_000033.png"


def test_a_name_that_leaves_the_folder_is_named(root: Path) -> None:
    write_lists(root, val="2007_000033 ../../x")
    (finding,) = collected(root).findings
    assert finding.kind is Kind.LIST and finding.file == f"{BASE}/ImageSets/Segmentation/val.txt:2"


def test_what_counts_is_what_the_lists_name(root: Path) -> None:
    names = source_files(DataConfig(source="voc", root=root))
    assert len(names) == 3 + 4 + 3
    assert not any("2009_000001" in name or "SegmentationClass/2008" in name for name in names)


def test_no_devkit(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no JPEGImages below"):
        collected(tmp_path)
