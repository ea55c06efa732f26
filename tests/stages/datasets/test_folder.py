"""A user's own folder: lists where there are any, otherwise splits that depend on each name alone."""

from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.identity.sources import SourceCache
from stages.datasets.config import DataConfig
from stages.datasets.findings import Kind, Level
from stages.datasets.folder import collect, place, source_files, split_by_hash
from stages.datasets.layout import Pair


def config(root: Path) -> DataConfig:
    return DataConfig(source="folder", root=root)


def test_lists_decide(small: Path) -> None:
    (small / "test.txt").unlink()
    layout = collect(config(small), small)
    assert {split: len(pairs) for split, pairs in layout.splits.items()} == {"train": 3, "val": 1}


def test_lists_that_are_absent_and_images_that_no_list_names_are_told(small: Path) -> None:
    assert collect(config(small), small).findings == ()
    (small / "test.txt").unlink()
    (small / "labels/f.png").unlink()
    (small / "labels/g.png").write_bytes(b"")
    (small / "images/.hidden").write_bytes(b"")
    told = [(f.kind, f.file, f.level) for f in collect(config(small), small).findings]
    assert told == [
        (Kind.EMPTY_SPLIT, "test.txt", Level.WARNING),
        (Kind.UNUSED, "images/e.png", Level.WARNING),
        (Kind.UNUSED, "images/f.png", Level.WARNING),
        (Kind.UNUSED, "labels/g.png", Level.WARNING),
    ]


def test_a_list_of_training_images_must_be_there_and_a_holdout_stands_for_val(small: Path) -> None:
    (small / "val.txt").unlink()
    assert [f.file for f in collect(config(small), small).findings] == ["val.txt", "images/d.png"]
    held = config(small).model_copy(update={"holdout": ("a",)})
    assert [f.file for f in collect(held, small).findings] == ["images/d.png"]
    (small / "train.txt").unlink()
    assert next((f.file, f.level) for f in collect(held, small).findings) == ("train.txt", Level.FAULT)


def test_a_file_that_is_no_picture_is_told(small: Path) -> None:
    for split in ("train", "val", "test"):
        (small / f"{split}.txt").unlink()
    for name in ("images/g.gif", "labels/g.tif"):
        (small / name).write_bytes(b"")
    assert [(f.kind, f.file) for f in collect(config(small), small).findings] == [
        (Kind.UNUSED, "images/g.gif"),
        (Kind.UNUSED, "labels/g.tif"),
    ]


def test_subfolders_are_read(small: Path) -> None:
    for split in ("train", "val", "test"):
        (small / f"{split}.txt").unlink()
    for top in ("images", "labels"):
        (small / top / "street").mkdir()
        (small / top / "a.png").rename(small / top / "street" / "a.png")
    layout = collect(config(small), small)
    pairs = {pair for members in layout.splits.values() for pair in members}
    assert layout.findings == () and Pair("images/street/a.png", "labels/street/a.png") in pairs


def test_a_link_that_leaves_the_root_counts_by_what_it_points_to(small: Path) -> None:
    outside = small.parent / "outside.png"
    (small / "images/a.png").rename(outside)
    (small / "images/a.png").symlink_to(outside)
    files = source_files(config(small))
    before = SourceCache(small.parent / "cache").identity(files)
    outside.write_bytes((small / "images/b.png").read_bytes())
    assert collect(config(small), small).findings == ()
    assert SourceCache(small.parent / "cache").identity(files) != before


def test_source_files(small: Path) -> None:
    assert len(source_files(config(small))) == 16


def test_without_lists_names_decide(small: Path) -> None:
    for split in ("train", "val", "test"):
        (small / f"{split}.txt").unlink()
    layout = collect(config(small), small)
    assert sorted(pair.image for pairs in layout.splits.values() for pair in pairs) == [
        f"images/{name}.png" for name in "abcdef"
    ]


@pytest.mark.parametrize("count", [3, 4, 5, 12])
def test_no_split_of_three_images_or_more_is_empty(count: int) -> None:
    for first in range(50):
        pairs = tuple(Pair(f"images/{first + i}.png", f"labels/{first + i}.png") for i in range(count))
        splits = split_by_hash(pairs)
        assert all(splits.values()) and sum(map(len, splits.values())) == count
        turned = split_by_hash(pairs[::-1])
        assert {split: members[::-1] for split, members in turned.items()} == splits


def test_an_image_lent_to_an_empty_split_goes_back() -> None:
    pairs = tuple(Pair(f"images/{i}.png", f"labels/{i}.png") for i in range(2000))
    by_place = sorted(pairs, key=place)
    in_val = next(pair for pair in pairs if 0.8 <= place(pair) < 0.9)
    train, test = by_place[:3], by_place[-2:]
    lent = split_by_hash((*train, *test))
    assert lent["val"] == (train[2],) and set(lent["test"]) == set(test)
    more = split_by_hash((*train, *test, in_val))
    assert more["val"] == (in_val,) and set(more["train"]) == set(train) and set(more["test"]) == set(test)


def test_split_by_hash_is_80_10_10_and_stable() -> None:
    pairs = tuple(Pair(f"images/{i}.png", f"labels/{i}.png") for i in range(2000))
    splits = split_by_hash(pairs)
    shares = [len(splits[split]) / len(pairs) for split in ("train", "val", "test")]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
    fewer = split_by_hash(pairs[::3])
    assert all(set(fewer[split]) <= set(splits[split]) for split in splits)


@pytest.mark.parametrize(
    ("change", "kind", "file", "text"),
    [
        (
            lambda root: (root / "labels/b.png").unlink(),
            Kind.MISSING_PAIR,
            "images/b.png",
            "the image has no label: expected labels/b.png",
        ),
        (
            lambda root: (root / "images/b.png").unlink(),
            Kind.MISSING_PAIR,
            "labels/b.png",
            "the label has no image: expected images/b.*",
        ),
        (
            lambda root: (root / "images/b.jpg").write_bytes(b""),
            Kind.LISTED_TWICE,
            "images/b.png",
            "it and images/b.jpg differ only by suffix: keep one",
        ),
    ],
)
def test_faults_without_lists(small: Path, change, kind: Kind, file: str, text: str) -> None:
    for split in ("train", "val", "test"):
        (small / f"{split}.txt").unlink()
    change(small)
    (finding,) = collect(config(small), small).findings
    assert (finding.kind, finding.file, finding.text) == (kind, file, text)


def test_no_images(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text("id,name,r,g,b,ignore\n0,road,1,2,3,0\n")
    with pytest.raises(DataError, match="no image in"):
        collect(config(tmp_path), tmp_path)
