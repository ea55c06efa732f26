"""Times from history rows."""

import pytest

from pipeline.sweep.history import seconds_per_iteration, term_seconds, training_seconds

ROWS = [
    {"iteration": 0, "seconds": 3.0, "term_seconds": {"supervised": 9.0}},
    {"iteration": 10, "seconds": 5.0, "term_seconds": {"supervised": 0.1, "ifvd": 0.2}},
    {"iteration": 20, "seconds": 6.0},
    {"iteration": 24, "seconds": 6.4, "term_seconds": {"supervised": 0.3, "ifvd": 0.2}},
]


def test_the_first_iteration_and_the_warmup_do_not_count() -> None:
    assert seconds_per_iteration(ROWS) == pytest.approx(3.4 / 24)
    assert seconds_per_iteration(ROWS, warmup=10) == pytest.approx(1.4 / 14)


def test_training_takes_all_of_it() -> None:
    assert training_seconds(ROWS) == 6.4


def test_terms_at_their_median_without_the_first_look() -> None:
    assert term_seconds(ROWS) == {"supervised": pytest.approx(0.2), "ifvd": pytest.approx(0.2)}
    assert term_seconds(ROWS[:1]) == {"supervised": 9.0}


def test_nothing_to_tell() -> None:
    assert seconds_per_iteration(ROWS[:1]) is None and seconds_per_iteration(ROWS, warmup=24) is None
    assert training_seconds([]) is None and term_seconds([]) == {}
