"""A user's own folder: lists where there are any, otherwise splits that depend on each name alone."""

from pathlib import Path

import pytest

from pipeline.errors import DataError
from stages.datasets.config import DataConfig
from stages.datasets.findings import Kind
from stages.datasets.folder import collect, source_files, split_by_hash
from stages.datasets.layout import Pair


def config(root: Path) -> DataConfig:
    return DataConfig(source="folder", root=root)


def test_lists_decide(small: Path) -> None:
    (small / "test.txt").unlink()
    layout = collect(config(small), small)
    assert {split: len(pairs) for split, pairs in layout.splits.items()} == {"train": 3, "val": 1}
    assert layout.findings == ()


def test_source_files(small: Path) -> None:
    assert len(source_files(config(small))) == 16


def test_without_lists_names_decide(small: Path) -> None:
    for split in ("train", "val", "test"):
        (small / f"{split}.txt").unlink()
    layout = collect(config(small), small)
    assert sorted(pair.image for pairs in layout.splits.values() for pair in pairs) == [
        f"images/{name}.png" for name in "abcdef"
    ]


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
