"""The sources by name."""

from pathlib import Path

import pytest

from pipeline.errors import DataError
from stages.datasets import catalogue
from stages.datasets.catalogue import choice, published_classes, recognise, source_of, sources


@pytest.mark.parametrize("name", sources())
def test_every_source_can_collect(name: str) -> None:
    source = source_of(name)
    assert callable(source.load().collect)
    assert not source.reads_root or callable(source.load().source_files)


def test_an_unknown_source_offers_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'camvid'"):
        source_of("camvids")


@pytest.mark.parametrize(("name", "counted"), [("cityscapes", 19), ("voc", 21), ("ade20k", 150)])
def test_published_classes(name: str, counted: int) -> None:
    rows = published_classes(name)
    assert sum(not row.ignore for row in rows) == counted
    assert [row.id for row in rows] == sorted(row.id for row in rows)


def test_colours_and_ids_are_the_published_ones() -> None:
    by_id = {row.id: row for row in published_classes("cityscapes")}
    assert (by_id[7].name, by_id[7].rgb) == ("road", (128, 64, 128))
    assert (by_id[33].name, by_id[33].rgb, by_id[29].ignore) == ("bicycle", (119, 11, 32), True)
    assert {row.id: row.rgb for row in published_classes("voc")}[20] == (0, 64, 128)
    assert [row.name for row in published_classes("ade20k")][:4] == ["other", "wall", "building", "sky"]


def test_a_choice_counts_the_classes_and_not_the_marks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen = choice("voc")
    assert chosen["module"] == "stages.datasets.voc" and "marks" not in chosen
    assert choice("folder")["classes"] is None
    table = (catalogue.TABLES / "voc.csv").read_text()
    monkeypatch.setattr(catalogue, "TABLES", tmp_path)
    (tmp_path / "voc.csv").write_text("\n" + table)
    assert choice("voc") == chosen
    (tmp_path / "voc.csv").write_text(table.replace("aeroplane", "airplane"))
    assert choice("voc") != chosen


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("leftImg8bit", "cityscapes"),
        ("VOCdevkit/VOC2012", "voc"),
        ("annotations", "ade20k"),
        ("images", "folder"),
    ],
)
def test_a_root_is_recognised(tmp_path: Path, folder: str, source: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    assert recognise(tmp_path) == source


def test_an_unknown_layout_says_what_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no source recognises it.*cityscapes: leftImg8bit.*--source NAME"):
        recognise(tmp_path)
