"""Scales, ticks, labels and escaping of the charts."""

import math
from xml.etree import ElementTree

import pytest

from bench.report.html.svg import (
    Scale,
    attribute,
    document,
    element,
    even_ticks,
    fit_text,
    log_ticks,
    overlap,
    placed,
    scale,
    text,
    tick_text,
)

HOSTILE = """<script>alert("x")</script>'&"""


def test_elements_are_escaped_and_parse() -> None:
    drawn = document(100, 50, text(1, 2, HOSTILE, "label") + element("rect", width=1.25), HOSTILE, HOSTILE)
    root = ElementTree.fromstring(drawn)
    assert [child.tag for child in root] == ["title", "desc", "text", "rect"]
    assert root[0].text == root[1].text == root[2].text == HOSTILE
    assert root.get("role") == "img"
    assert root.get("aria-label") == f"{HOSTILE}. {HOSTILE}"


@pytest.mark.parametrize(("value", "written"), [(1.0, "1"), (1.25, "1.2"), (3, "3"), ('a"b', "a&quot;b")])
def test_attributes(value: object, written: str) -> None:
    assert attribute(value) == written


def test_an_even_scale() -> None:
    across = Scale(0, 10, 100, 300)
    assert (across(0), across(5), across(10)) == (100, 200, 300)


def test_a_scale_is_logarithmic_only_where_values_span_far() -> None:
    assert not scale([10, 20], 0, 100, log=True).log
    far = scale([1, 100], 0, 100, log=True, margin=0.0)
    assert far.log
    assert math.isclose(far(10), 50)
    assert not scale([1, 100], 0, 100).log


def test_one_value_has_a_scale() -> None:
    assert scale([5.0], 0, 100)(5.0) == 50
    assert scale([0.0], 0, 100)(0.0) == 50


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (34.1, 36, [34.5, 35, 35.5, 36]), (-0.3, 0.3, [-0.2, 0.0, 0.2])],
)
def test_even_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert even_ticks(low, high) == pytest.approx(ticks)


def test_log_ticks() -> None:
    assert log_ticks(1.5, 60) == [2, 5, 10, 20, 50]
    assert log_ticks(0.5, 5000) == [1, 10, 100, 1000]


@pytest.mark.parametrize(("value", "words"), [(34.5, "34.5"), (20.0, "20"), (2000.0, "2,000"), (0.05, "0.05")])
def test_tick_text(value: float, words: str) -> None:
    assert tick_text(value) == words


def test_long_words_lose_their_middle() -> None:
    assert fit_text("short", 100) == "short"
    found = fit_text("backbone.layer4.1.conv2", 12 * 12 * 0.56)
    assert found == "backb….conv2"


def test_labels_of_points_that_coincide_stand_apart() -> None:
    spots = [(50.0, 50.0), (51.0, 50.0), (52.0, 50.0)]
    places = placed([(x, y, "12") for x, y in spots], (0, 200), spots)
    boxes = [
        (x if anchor == "start" else x - 15, y - 11, x + 15 if anchor == "start" else x, y + 2)
        for x, y, anchor in places
    ]
    assert all(overlap(a, b) == 0 for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_label_at_the_right_end_turns_inwards() -> None:
    ((x, _, anchor),) = placed([(95.0, 50.0, "a long label")], (0, 100))
    assert (anchor, x < 95) == ("end", True)


def test_an_axis_spans_the_least_that_is_asked_for() -> None:
    narrow = scale([71.4, 71.6], 0, 100, least=2.0)
    assert (narrow.low, narrow.high) == (pytest.approx(70.5), pytest.approx(72.5))
    wide = scale([60.0, 80.0], 0, 100, least=2.0)
    assert (wide.low, wide.high) == (pytest.approx(58.4), pytest.approx(81.6))
