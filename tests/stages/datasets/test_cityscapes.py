"""Cityscapes in its published folders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.datasets.catalogue import published_classes
from stages.datasets.cityscapes import collect, source_files, split_of
from stages.datasets.config import DataConfig
from stages.datasets.findings import Kind
from stages.datasets.index import label_map, network_classes
from stages.datasets.layout import Layout

FRAMES = {"train/aachen/aachen_000000_000019": 7, "val/lindau/lindau_000001_000019": 33, "test/bonn/bonn_0_1": 0}


def save(path: Path, value: int, *more: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 16, *more), value, np.uint8)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One frame a split with both encodings of its label (test's too, as dummies), and files that do not count."""
    for frame, value in FRAMES.items():
        save(tmp_path / f"leftImg8bit/{frame}_leftImg8bit.png", value, 3)
        save(tmp_path / f"gtFine/{frame}_gtFine_labelIds.png", value)
        save(tmp_path / f"gtFine/{frame}_gtFine_labelTrainIds.png", 0)
        save(tmp_path / f"gtFine/{frame}_gtFine_color.png", 0, 3)
    save(tmp_path / "leftImg8bit/train_extra/ulm/ulm_0_1_leftImg8bit.png", 0, 3)
    save(tmp_path / "elsewhere/x.png", 0)
    return tmp_path


def collected(root: Path) -> Layout:
    return collect(DataConfig(source="cityscapes", root=root), root)


def test_train_ids_are_taken_where_all_images_have_them(root: Path) -> None:
    layout = collected(root)
    assert layout.splits["train"][0].label == "gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png"
    assert [row.id for row in layout.classes] == list(range(19))
    assert layout.splits["test"][0].label is None and layout.findings == ()


def test_label_ids_otherwise(root: Path) -> None:
    (root / "gtFine/val/lindau/lindau_000001_000019_gtFine_labelTrainIds.png").unlink()
    layout = collected(root)
    assert layout.splits["train"][0].label == "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
    table = label_map(layout.classes)
    train_ids = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert [table[value] for value in train_ids] == list(range(19))
    assert all(table[value] == 255 for value in set(range(256)) - set(train_ids))
    assert [c.name for c in network_classes(layout.classes)][:3] == ["road", "sidewalk", "building"]


def test_missing_halves_are_named(root: Path) -> None:
    for name in ("labelIds", "labelTrainIds"):
        (root / f"gtFine/train/aachen/aachen_000000_000019_gtFine_{name}.png").unlink()
    (root / "leftImg8bit/val/lindau/lindau_000001_000019_leftImg8bit.png").unlink()
    findings = collected(root).findings
    assert {finding.kind for finding in findings} == {Kind.MISSING_PAIR}
    assert [finding.file for finding in findings] == [
        "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png",
        "gtFine/val/lindau/lindau_000001_000019_gtFine_labelIds.png",
    ]


def test_what_counts_is_images_and_one_encoding(root: Path) -> None:
    files = source_files(DataConfig(source="cityscapes", root=root))
    assert len(files) == 5 and all(Path(path).is_file() for path in files.values())
    assert not any("color" in name or "train_extra" in name or "labelIds" in name for name in files)


def test_flat_files_go_by_their_city() -> None:
    assert [split_of(f"leftImg8bit/{city}_0_0") for city in ("frankfurt", "ulm", "bonn")] == ["val", "train", "test"]


def test_the_real_frame(shared: Path) -> None:
    root = shared / "data/layouts/cityscapes_one"
    layout = collected(root)
    (pair,) = layout.splits["val"]
    train_ids = np.asarray(Image.open(root / str(pair.label)))
    label_ids = np.asarray(Image.open(root / str(pair.label).replace("labelTrainIds", "labelIds")))
    table = np.array(label_map(published_classes("cityscapes")), np.uint8)
    # The two files of this sample were scaled down one by one: they differ on borders.
    assert (table[label_ids] == train_ids).mean() > 0.99
