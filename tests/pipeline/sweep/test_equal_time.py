"""Iterations that take equally long."""

import pytest

from pipeline.errors import RecipeError
from pipeline.sweep.cells import Row
from pipeline.sweep.equal_time import check_free, chosen_iterations

SMALL_NONE, SMALL_IDD = Row(("small", "none"), ()), Row(("small", "idd"), ())
LARGE_NONE, LARGE_IDD = Row(("large", "none"), ()), Row(("large", "idd"), ())
SECONDS = {"small none": 0.1, "small idd": 0.25, "large none": 1.0, "large idd": 1.5}
FULL = dict.fromkeys(SECONDS, 300)


def test_every_row_gets_the_time_of_the_slowest() -> None:
    chosen = chosen_iterations(SECONDS, FULL, {SMALL_NONE: SMALL_NONE, SMALL_IDD: SMALL_NONE})
    assert chosen == {"small none": 750, "small idd": 300}


def test_groups_have_times_of_their_own() -> None:
    compared = {SMALL_NONE: SMALL_NONE, SMALL_IDD: SMALL_NONE, LARGE_NONE: LARGE_NONE, LARGE_IDD: LARGE_NONE}
    chosen = chosen_iterations(SECONDS, FULL, compared)
    assert chosen == {"small none": 750, "small idd": 300, "large none": 450, "large idd": 300}


def test_an_axis_over_iterations_contradicts_equal_time() -> None:
    check_free([Row(("a",), ("distill.lr=1",))])
    with pytest.raises(RecipeError, match=r"row a sets distill\.iterations"):
        check_free([Row(("a",), ("distill.iterations=5",))])
