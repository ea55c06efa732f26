"""Reading classes.csv and split lists: every fault names file and line."""

from pathlib import Path

import pytest

from pipeline.errors import DataError
from stages.datasets.findings import Kind
from stages.datasets.layout import (
    ClassRow,
    Pair,
    existing_root,
    files_below,
    read_classes,
    read_split,
)

HEADER = "id,name,r,g,b,ignore\n"


def test_classes_are_read(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text("\ufeff" + HEADER + "0, road,1,2,3,0\n\n7,void,0,0,0,1\n")
    assert read_classes(tmp_path / "classes.csv") == (
        ClassRow(0, "road", (1, 2, 3), False),
        ClassRow(7, "void", (0, 0, 0), True),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,name,r,g,b\n0,road,1,2,3\n", "no column 'ignore'"),
        (HEADER, "no classes"),
        (HEADER + "0,void,0,0,0,1\n", "no classes"),
        (HEADER + "0,road,1,2,3,0\n\nx,sky,1,2,3,0\n", r"classes.csv:4: .*whole numbers"),
        (HEADER + "0,road,1,2\n", r"classes.csv:2: .*whole numbers"),
        (HEADER + "0,road,1,2,300,0\n", r"classes.csv:2: .*0\.\.255"),
        (HEADER + "0,,1,2,3,0\n", r"classes.csv:2: needs a name"),
        (HEADER + "255,road,1,2,3,0\n", r"classes.csv:2: id 255 is always ignored"),
        (HEADER + "0,road,1,2,3,0\n0,sky,1,2,3,0\n", "id 0 stands twice"),
        (HEADER + "0,road,1,2,3,0\n1,road,1,2,3,0\n", "name 'road' stands twice"),
    ],
)
def test_faults_of_classes(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "classes.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_classes(tmp_path / "classes.csv")


def test_split_is_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("images/b.png labels/b.png\n\nimages/a.png  labels/a.png\n")
    pairs = (Pair("images/b.png", "labels/b.png"), Pair("images/a.png", "labels/a.png"))
    assert read_split(tmp_path, "val.txt") == (pairs, ())


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("\n", Kind.EMPTY_SPLIT, "val.txt: the split is empty"),
        ("images/a.png labels/a.png\nimages/b.png\n", Kind.LIST, "val.txt:2: write `image label`"),
        ("../a.png labels/a.png\n", Kind.LIST, "val.txt:1: ../a.png leaves the data root"),
        ("images/a.png /etc/a.png\n", Kind.LIST, "val.txt:1: /etc/a.png leaves the data root"),
    ],
)
def test_faults_of_lists(tmp_path: Path, text: str, kind: Kind, message: str) -> None:
    (tmp_path / "val.txt").write_text(text)
    (finding,) = read_split(tmp_path, "val.txt")[1]
    assert finding.kind is kind and str(finding).startswith(message)


def test_all_wrong_lines_are_listed(tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("a\nimages/a.png labels/a.png\nb\n")
    pairs, findings = read_split(tmp_path, "val.txt")
    assert len(pairs) == 1 and [finding.file for finding in findings] == ["val.txt:1", "val.txt:3"]


def test_missing_list_and_missing_root_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file .*train.txt"):
        read_split(tmp_path, "train.txt")
    with pytest.raises(DataError, match=r"--set data.root=PATH"):
        existing_root(None, "camvid")
    with pytest.raises(DataError, match=r"no folder .*nowhere.*--set data.root=PATH"):
        existing_root(tmp_path / "nowhere", "camvid")


def test_files_below_lists_what_counts(small: Path) -> None:
    (small / "notes.md").write_text("not data")
    (small / "images/deep").mkdir()
    (small / "images/deep/g.png").write_bytes(b"")
    found = files_below(small)
    assert len(found) == 4 + 12 + 1
    assert found["images/deep/g.png"] == str(small / "images/deep/g.png")
    assert "notes.md" not in found


def test_a_link_to_a_folder_around_it_is_not_followed(small: Path) -> None:
    before = files_below(small)
    (small / "images/again").symlink_to(small, target_is_directory=True)
    (small / "images/elsewhere").symlink_to(small / "labels", target_is_directory=True)
    added = files_below(small).keys() - before.keys()
    assert added == {f"images/elsewhere/{name}.png" for name in "abcdef"}
