"""Decoded images: in memory, on disk, or read each time."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.errors import DataError
from stages.datasets.checks import check
from stages.datasets.config import DataConfig
from stages.datasets.folder import collect
from stages.datasets.index import Index, label_map, network_classes
from stages.loading import decoded, pictures
from stages.loading.decoded import decoded_bytes, decoded_key
from stages.loading.pictures import Pictures
from stages.preprocess import Preprocess


@pytest.fixture
def index(small: Path) -> Index:
    layout = collect(DataConfig(source="folder", root=small), small)
    samples = check(layout, False, lambda n: None).splits
    rows = layout.classes
    return Index("small", Preprocess(9, 14), False, label_map(rows), samples, network_classes(rows))


def test_all_ways_give_the_same_arrays(index: Index, small: Path, tmp_path: Path) -> None:
    ways = [Pictures(index, small, "train", keep, tmp_path / "decoded") for keep in ("none", "memory", "disk", "auto")]
    assert ways[0].kept is None and isinstance(ways[2].kept[0], np.memmap) and ways[3].kept is not None
    for i in range(3):
        first = ways[0].read(i)
        for way in ways[1:]:
            assert all(np.array_equal(a, b) for a, b in zip(way.read(i), first, strict=True))


def test_rows_are_those_of_the_whole(index: Index, small: Path) -> None:
    for grid in (Preprocess(12, 16), Preprocess(9, 14)):
        read = Pictures(replace(index, preprocess=grid), small, "train", "none")
        whole, part = read.read(0), read.read(0, rows=5)
        assert all(np.array_equal(a[:5], b) and len(b) == 5 for a, b in zip(whole, part, strict=True))


def test_auto_keeps_what_fits(index: Index, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MEMORY_BYTES", decoded_bytes(index, "train") - 1)
    assert Pictures(index, small, "train").kept is None


def test_the_disk_cache_is_made_once(index: Index, small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "decoded"
    kept = Pictures(index, small, "train", "disk", folder).read(1)
    for file in (small / "images").iterdir():
        file.unlink()
    assert np.array_equal(Pictures(index, small, "train", "disk", folder).read(1)[0], kept[0])
    assert [path.name for path in folder.iterdir() if path.is_dir()] == [decoded_key(index, "train")]


def test_the_key_counts_content_grid_and_labels(index: Index) -> None:
    others = [
        replace(index, preprocess=Preprocess(9, 15)),
        replace(index, preprocess=Preprocess(9, 14, "letterbox")),
        replace(index, label_map=(1, *index.label_map[1:])),
        replace(index, splits={"train": index.samples("train")[:2]}),
        replace(index, splits={"train": (replace(index.samples("train")[0], label_sha256="0"),)}),
    ]
    keys = {decoded_key(each, "train") for each in (index, *others)}
    assert len(keys) == 6
    moved = replace(index, splits={"train": tuple(replace(s, image="x") for s in index.samples("train"))})
    assert decoded_key(moved, "train") == decoded_key(index, "train")


def test_an_interrupted_cache_is_made_again(index: Index, small: Path, tmp_path: Path) -> None:
    missing = small / "images/c.png"
    content = missing.read_bytes()
    missing.unlink()
    with pytest.raises(DataError, match=r"no file .*c.png"):
        Pictures(index, small, "train", "disk", tmp_path / "decoded")
    missing.write_bytes(content)
    assert len(Pictures(index, small, "train", "disk", tmp_path / "decoded")) == 3


def test_a_full_disk_is_told(index: Index, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded.shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(DataError, match=r"the decoded split train takes .* make room"):
        Pictures(index, small, "train", "disk", tmp_path / "decoded")


def test_letterbox_bars_are_ignored(index: Index, small: Path) -> None:
    boxed = replace(index, preprocess=Preprocess(20, 16, "letterbox"))
    _, labels = Pictures(boxed, small, "train").read(0)
    assert (labels[:4] == 255).all() and (labels[16:] == 255).all()
    assert np.isin(labels[4:16], (0, 1)).any()


def test_a_split_without_images_or_labels_is_refused(index: Index, small: Path) -> None:
    with pytest.raises(DataError, match="split train of small is empty"):
        Pictures(replace(index, splits={}), small, "train")
    bare = tuple(replace(sample, label=None, label_sha256=None) for sample in index.samples("train"))
    with pytest.raises(DataError, match="images without labels"):
        Pictures(replace(index, splits={"train": bare}), small, "train")
