"""How far an exported form is from the torch student: pure comparisons, and what limits they must keep.

N image, C class. A pixel whose two largest torch logits lie within `MARGIN` is a near tie: rounding alone can
turn it. Any other pixel with another label is a violation.

Both `MARGIN` and the limit on logits are absolute for logits of an ordinary size. Rounding is relative: a network that
has hardly been trained, and whose logits go into the thousands, could not keep them in fp32 (`widened`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.limits import Limits

MARGIN = 1e-3
ORDINARY_SPAN = 100.0
"""Largest less smallest logit up to which nothing is widened: more than a trained network's, since at a difference of
104 the smaller class has no probability left in fp32. A limit of 1e-3 is then 84 times fp32's rounding (1.2e-7)."""
POINTS = 100
"""mIoU from a share of 1 to percentage points."""


@dataclass(frozen=True)
class LogitErrors:
    """Absolute differences between two sets of logits; the sum of two covers both."""

    max_abs: float
    sum_abs: float
    values: int
    span: float = 0.0
    """Torch's largest logit less its smallest; of a sum the larger of both."""

    @property
    def mean_abs(self) -> float:
        """Mean absolute difference over all values."""
        return self.sum_abs / self.values

    def __add__(self, other: "LogitErrors") -> "LogitErrors":
        # Python's max would lose a NaN.
        largest, span = (float(np.maximum(*pair)) for pair in ((self.max_abs, other.max_abs), (self.span, other.span)))
        return LogitErrors(largest, self.sum_abs + other.sum_abs, self.values + other.values, span)


@dataclass(frozen=True)
class LabelAgreement:
    """Pixels on which labels equal the torch student's; the sum of two covers both."""

    pixels: int
    agreeing: int
    near_ties: int
    violations: int

    @property
    def share(self) -> float:
        """Share of the pixels with torch's label, 0..1."""
        return self.agreeing / self.pixels

    def __add__(self, other: "LabelAgreement") -> "LabelAgreement":
        return LabelAgreement(
            self.pixels + other.pixels,
            self.agreeing + other.agreeing,
            self.near_ties + other.near_ties,
            self.violations + other.violations,
        )


@dataclass(frozen=True)
class Comparison:
    """One exported form beside the torch student, on the same pictures."""

    file: str
    runtime: str
    images: int
    agreement: LabelAgreement
    errors: LogitErrors | None
    """None for a form that gives labels alone."""
    miou_torch: float
    miou_exported: float
    """Both as shares of 1, over `miou_images` pictures of the evaluation split."""
    miou_images: int

    @property
    def miou_delta_points(self) -> float:
        """The form's mIoU less torch's, in percentage points."""
        return POINTS * (self.miou_exported - self.miou_torch)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "file": self.file,
            "runtime": self.runtime,
            "images": self.images,
            "max_abs_logit_error": self.errors.max_abs if self.errors else None,
            "mean_abs_logit_error": self.errors.mean_abs if self.errors else None,
            "logit_span": self.errors.span if self.errors else None,
            "pixels": self.agreement.pixels,
            "argmax_agreement": self.agreement.share,
            "near_ties": self.agreement.near_ties,
            "violations": self.agreement.violations,
            "miou_torch": self.miou_torch,
            "miou_exported": self.miou_exported,
            "miou_delta_points": self.miou_delta_points,
            "miou_images": self.miou_images,
        }


def logit_errors(torch_NCHW: np.ndarray, exported_NCHW: np.ndarray) -> LogitErrors:
    """Differences of two float N x C x H x W arrays; NaN in either shows in every figure."""
    assert torch_NCHW.shape == exported_NCHW.shape
    difference = np.abs(torch_NCHW - exported_NCHW)
    total, span = float(difference.sum(dtype=np.float64)), float(np.ptp(torch_NCHW))
    return LogitErrors(float(difference.max()), total, difference.size, span)


def widened(limit: float, span: float) -> float:
    """An absolute limit on logits that span so much: times span / `ORDINARY_SPAN` beyond that, never less than itself.

    A span that is not finite widens nothing.
    """
    return limit * span / ORDINARY_SPAN if ORDINARY_SPAN < span < np.inf else limit


def label_agreement(torch_NCHW: np.ndarray, labels_NHW: np.ndarray) -> LabelAgreement:
    """Labels (uint8 N x H x W) against the largest of torch's logits (float N x C x H x W, C >= 2)."""
    second_NHW, first_NHW = np.moveaxis(np.partition(torch_NCHW, (-2, -1), axis=1)[:, -2:], 1, 0)
    margin_N = np.array([widened(MARGIN, float(np.ptp(logits_CHW))) for logits_CHW in torch_NCHW])
    near_NHW = first_NHW - second_NHW <= margin_N[:, None, None]
    differs_NHW = torch_NCHW.argmax(axis=1) != labels_NHW
    return LabelAgreement(
        pixels=labels_NHW.size,
        agreeing=int((~differs_NHW).sum()),
        near_ties=int(near_NHW.sum()),
        violations=int((differs_NHW & ~near_NHW).sum()),
    )


def faults(comparison: Comparison, limits: Limits) -> list[str]:
    """Each limit that is passed, with the numbers; empty where the form may ship. NaN keeps no limit."""
    errors, agreement, delta = comparison.errors, comparison.agreement, comparison.miou_delta_points
    logit_limit = limits.max_logit_error
    if errors and logit_limit is not None:
        logit_limit = widened(logit_limit, errors.span)
    checks = [
        (errors.max_abs if errors else None, "<=", logit_limit, "max logit error {:.3g}, limit {:g}"),
        (agreement.share, ">=", limits.min_agreement, "labels agree on {:.4f} of the pixels, at least {:g} must"),
        (agreement.violations, "<=", limits.max_violations, "{} label violations, limit {}"),
        (abs(delta), "<=", limits.max_miou_change, "mIoU changes by {:.3f} points, limit {:g}"),
        (-delta, "<=", limits.max_miou_drop, "mIoU drops by {:.3f} points, limit {:g}"),
    ]
    return [
        text.format(value, limit)
        for value, keeps, limit, text in checks
        if value is not None and limit is not None and not (value <= limit if keeps == "<=" else value >= limit)
    ]


def summary(comparison: Comparison) -> str:
    """The comparison on one line."""
    agreement, errors = comparison.agreement, comparison.errors
    logits = f"logit error max {errors.max_abs:.2e} mean {errors.mean_abs:.2e}, " if errors else ""
    return (
        f"{comparison.file}: {logits}labels agree {POINTS * agreement.share:.4f} %, "
        f"{agreement.near_ties} near ties (margin <= {MARGIN:g}), {agreement.violations} violations "
        f"on {comparison.images} images; mIoU {POINTS * comparison.miou_exported:.3f} % against "
        f"{POINTS * comparison.miou_torch:.3f} % on {comparison.miou_images} images"
    )


def evenly_spread(count: int, wanted: int) -> Sequence[int]:
    """Positions of `wanted` items out of `count`, as far apart as can be; all where there are no more."""
    wanted = min(count, wanted)
    return [index * count // wanted for index in range(wanted)]
