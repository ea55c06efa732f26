"""The comparisons, on arrays small enough to count by hand."""

import dataclasses
import math

import numpy as np
import pytest

from export import card
from export.limits import Limits
from export.parity import (
    Comparison,
    LabelAgreement,
    LogitErrors,
    evenly_spread,
    faults,
    label_agreement,
    logit_errors,
    summary,
    widened,
)

LIMITS = Limits(max_logit_error=1e-3, max_miou_change=0.01, max_violations=0)


def comparison(max_abs: float | None = 0.0, violations: int = 0, exported: float = 0.5) -> Comparison:
    errors = None if max_abs is None else LogitErrors(max_abs, 4.0, 8)
    agreement = LabelAgreement(pixels=100, agreeing=100 - violations, near_ties=3, violations=violations)
    return Comparison("a.onnx", "onnxruntime", 2, agreement, errors, 0.5, exported, 7)


def test_logit_errors_are_absolute_and_averaged() -> None:
    torch_NCHW = np.array([1.0, -2.0, 3.0, 0.0], dtype=np.float32).reshape(1, 2, 1, 2)
    exported_NCHW = torch_NCHW + np.array([0.5, -0.25, 0.0, 0.25], dtype=np.float32).reshape(1, 2, 1, 2)

    errors = logit_errors(torch_NCHW, exported_NCHW)

    assert errors == LogitErrors(max_abs=0.5, sum_abs=1.0, values=4, span=5.0)
    assert errors.mean_abs == 0.25


def test_sums_cover_both_parts_and_keep_a_nan() -> None:
    both = LogitErrors(0.5, 1.0, 4, span=3.0) + LogitErrors(0.25, 3.0, 4, span=7.0)

    assert both == LogitErrors(0.5, 4.0, 8, span=7.0)
    for first, second in ((0.5, math.nan), (math.nan, 0.5)):
        assert math.isnan((LogitErrors(first, 0, 1) + LogitErrors(second, 0, 1)).max_abs)
    assert LabelAgreement(4, 3, 1, 1) + LabelAgreement(6, 6, 0, 0) == LabelAgreement(10, 9, 1, 1)


def test_a_turned_label_is_a_violation_unless_the_two_best_logits_nearly_tie() -> None:
    # Margins of the four pixels: 2, 0.0005, 2, 0.0005; the last two get the other label.
    torch_NCHW = np.array([[[[1, 0.0005, -1, 0.0]], [[-1, 0, 1, 0.0005]], [[-9, -9, -9, -9]]]], dtype=np.float32)
    labels_NHW = np.array([[[0, 0, 0, 0]]], dtype=np.uint8)

    agreement = label_agreement(torch_NCHW, labels_NHW)

    assert agreement == LabelAgreement(pixels=4, agreeing=2, near_ties=2, violations=1)
    assert agreement.share == 0.5


@pytest.mark.parametrize(
    ("span", "limit"), [(0.0, 1e-3), (60.0, 1e-3), (100.0, 1e-3), (5000.0, 0.05), (math.inf, 1e-3), (math.nan, 1e-3)]
)
def test_limits_grow_with_logits_that_no_trained_network_has(span: float, limit: float) -> None:
    assert widened(1e-3, span) == pytest.approx(limit)
    for error, kept in ((0.99 * limit, True), (1.01 * limit, False)):
        off = dataclasses.replace(comparison(), errors=LogitErrors(error, 4.0, 8, span))
        assert (faults(off, LIMITS) == []) is kept


def test_a_near_tie_is_wider_where_logits_are_huge() -> None:
    # Margins 0.04 and 0.06 beside a span of 5000, whose near ties reach 0.05.
    torch_NCHW = np.array([[[[0.04, 0.06]], [[0.0, 0.0]], [[-4000.0, -4999.94]]]], dtype=np.float32)

    agreement = label_agreement(torch_NCHW, np.ones((1, 1, 2), np.uint8))

    assert (agreement.near_ties, agreement.violations) == (1, 1)


def test_what_keeps_the_limits_has_no_faults() -> None:
    assert faults(comparison(max_abs=1e-3, exported=0.50009), LIMITS) == []
    assert faults(comparison(max_abs=None), LIMITS) == []


@pytest.mark.parametrize(
    ("off", "fault"),
    [
        (comparison(max_abs=0.25), "max logit error 0.25, limit 0.001"),
        (comparison(max_abs=math.nan), "max logit error nan, limit 0.001"),
        (comparison(violations=2), "2 label violations, limit 0"),
        (comparison(exported=0.4998), "mIoU changes by 0.020 points, limit 0.01"),
        (comparison(exported=0.5002), "mIoU changes by 0.020 points, limit 0.01"),
        (comparison(exported=math.nan), "mIoU changes by nan points, limit 0.01"),
    ],
)
def test_every_limit_is_named_with_its_number(off: Comparison, fault: str) -> None:
    assert faults(off, LIMITS) == [fault]


def test_a_drop_is_judged_in_one_direction_and_agreement_from_below() -> None:
    limits = Limits(max_miou_drop=1.0, min_agreement=0.99)
    assert faults(comparison(exported=0.6, violations=1), limits) == []
    assert faults(comparison(exported=0.489), limits) == ["mIoU drops by 1.100 points, limit 1"]
    assert faults(comparison(violations=2), limits) == ["labels agree on 0.9800 of the pixels, at least 0.99 must"]


def test_the_card_knows_no_negative_zero() -> None:
    (row,) = card.accuracy([comparison(exported=0.5 - 1e-9)], "test")[-1:]
    assert "| 50.00 | +0.000 |" in row


def test_the_summary_says_everything_on_one_line() -> None:
    assert summary(comparison(max_abs=1e-6, violations=1, exported=0.4)) == (
        "a.onnx: logit error max 1.00e-06 mean 5.00e-01, labels agree 99.0000 %, "
        "3 near ties (margin <= 0.001), 1 violations on 2 images; mIoU 40.000 % against 50.000 % on 7 images"
    )


@pytest.mark.parametrize(("count", "wanted", "positions"), [(10, 3, [0, 3, 6]), (4, 4, [0, 1, 2, 3]), (2, 8, [0, 1])])
def test_pictures_are_spread_over_the_split(count: int, wanted: int, positions: list[int]) -> None:
    assert evenly_spread(count, wanted) == positions
