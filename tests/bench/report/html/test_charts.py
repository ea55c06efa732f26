"""Charts drawn from numbers that can be checked by hand."""

from xml.etree import ElementTree

import pytest

from bench.report.html.charts import Mark, Samples, arrow, bars, scatter, steps, violins

WIDTHS = pytest.mark.parametrize("width", [348, 720])


def marks() -> list[Mark]:
    return [Mark(2.0, 70.0, "1", "fast", "student"), Mark(40.0, 75.0, "2", "slow", "teacher", "square")]


def by_class(drawing: str, name: str) -> list[ElementTree.Element]:
    return [one for one in ElementTree.fromstring(drawing).iter() if name in (one.get("class") or "").split()]


def box(drawing: str) -> tuple[float, float]:
    _, _, width, height = (float(part) for part in ElementTree.fromstring(drawing).attrib["viewBox"].split())
    return width, height


@WIDTHS
def test_a_scatter_plot_stands_in_its_box(width: int) -> None:
    drawing = scatter(marks(), [[(2.0, 70.0), (40.0, 75.0)]], ("ms", "mIoU"), "Plot", width)
    assert box(drawing)[0] == width
    (fast,) = [one for one in by_class(drawing, "student") if one.tag == "g"]
    circle = fast.find("circle")
    assert circle is not None
    x, y = float(circle.attrib["cx"]), float(circle.attrib["cy"])
    assert 0 < x < width / 3
    assert box(drawing)[1] / 2 < y < box(drawing)[1]
    assert "ms, log scale" in drawing
    assert len(by_class(drawing, "frontier")) == 1


def test_a_single_mark_can_be_drawn() -> None:
    assert "nan" not in scatter(marks()[:1], [[(2.0, 70.0)]], ("ms", "mIoU"), "Plot", 720)


def test_a_frontier_is_a_staircase() -> None:
    assert steps([(0, 9), (5, 4), (8, 1)]) == [(0, 9), (5, 9), (5, 4), (8, 4), (8, 1)]


def test_an_arrow_too_short_to_see_is_left_out() -> None:
    assert arrow((0, 0), (10, 0)) == ""
    assert "arrow-head" in arrow((0, 0), (0, 50))


@WIDTHS
def test_bars_are_as_long_as_their_values(width: int) -> None:
    drawing = bars(
        [("road", [("teacher", 100.0), ("student", 50.0)]), ("pole", [("teacher", None)])], "%", "IoU", width
    )
    rects = [float(one.attrib["width"]) for one in ElementTree.fromstring(drawing).iter("rect")]
    assert rects[0] == pytest.approx(2 * rects[1], abs=0.2)
    assert len(rects) == 2
    assert [one.text for one in by_class(drawing, "value")] == ["100", "50.0", "-"]


def test_bars_of_zero_have_a_scale() -> None:
    assert "nan" not in bars([("a", [("student", 0.0)])], "%", "t", 348)


@WIDTHS
def test_violins_count_what_lies_beyond(width: int) -> None:
    steady = [10.0 + 0.01 * (i % 7) for i in range(98)]
    drawing = violins(
        [Samples("a long name of a file onnxruntime", "student", [*steady, 50.0, 60.0])], "Latency", width
    )
    assert [one.text for one in by_class(drawing, "value")] == ["+2"]
    shown = " · ".join(str(one.text) for one in by_class(drawing, "label"))
    assert shown == "a long name of a file onnxruntime · 10.03 ms · n = 100", "on a phone in two lines, never cut"


def test_equal_samples_have_a_violin() -> None:
    drawing = violins([Samples("a", "student", [5.0])], "Latency", 348)
    assert "nan" not in drawing
    assert by_class(drawing, "spread")
