"""Hand-computed factors."""

import pytest

from stages.training.schedule import poly, ramp


def test_poly_without_warmup() -> None:
    assert poly(0.0, 0.9) == 1.0
    assert poly(0.5, 1.0) == 0.5
    assert poly(0.75, 0.9) == pytest.approx(0.25**0.9)


def test_warmup_rises_linearly_to_the_decay() -> None:
    assert poly(0.0, 1.0, warmup=0.1) == 0.0
    assert poly(0.05, 1.0, warmup=0.1) == pytest.approx(0.5 * 0.95)
    assert poly(0.1, 1.0, warmup=0.1) == pytest.approx(0.9)


def test_ramp_rises_linearly_from_0_to_1() -> None:
    assert [ramp(progress, 0.2, 0.6) for progress in (0.0, 0.2, 0.3, 0.4, 0.6, 0.99)] == pytest.approx(
        [0.0, 0.0, 0.25, 0.5, 1.0, 1.0]
    )
    assert ramp(0.0, 0.0, 1.0) == 0.0
