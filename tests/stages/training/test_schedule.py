"""Hand-computed learning-rate factors."""

import pytest

from stages.training.schedule import poly


def test_poly_without_warmup() -> None:
    assert poly(0.0, 0.9) == 1.0
    assert poly(0.5, 1.0) == 0.5
    assert poly(0.75, 0.9) == pytest.approx(0.25**0.9)


def test_warmup_rises_linearly_to_the_decay() -> None:
    assert poly(0.0, 1.0, warmup=0.1) == 0.0
    assert poly(0.05, 1.0, warmup=0.1) == pytest.approx(0.5 * 0.95)
    assert poly(0.1, 1.0, warmup=0.1) == pytest.approx(0.9)
