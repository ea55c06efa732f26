"""Selecting stages by name."""

import pytest

from pipeline.errors import RecipeError
from pipeline.graph import closure, matching
from pipeline.plan import select

NEEDS = {
    "data": (),
    "teacher": ("data",),
    "position": ("data", "teacher"),
    "distill": ("data", "teacher", "position"),
    "baseline": ("data",),
    "export.onnx": ("data", "distill"),
    "export.tensorrt": ("export.onnx",),
    "bench": ("teacher", "distill", "export.onnx", "export.tensorrt"),
}


def test_a_prefix_names_every_stage_below_it() -> None:
    assert matching("export") == ("export.onnx", "export.tensorrt")
    assert matching("teacher") == ("teacher",)


def test_unknown_stage_offers_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'teacher'"):
        matching("teachr")


def test_until_takes_what_is_upstream_and_nothing_else() -> None:
    selection = select(NEEDS, "distill", None, None, None)
    assert selection.selected == {"data", "teacher", "position", "distill"}
    assert "baseline" not in closure(("bench",), NEEDS)


def test_from_leaves_out_what_comes_before() -> None:
    assert select(NEEDS, "export", "distill", None, None).selected == {"distill", "export.onnx", "export.tensorrt"}


def test_only_takes_one_stage_and_force_must_be_selected() -> None:
    assert select(NEEDS, None, None, "teacher", "teacher").forced == {"teacher"}
    with pytest.raises(RecipeError, match="not among the stages"):
        select(NEEDS, "data", None, None, "teacher")
    with pytest.raises(RecipeError, match="stands alone"):
        select(NEEDS, "data", None, "teacher", None)
