"""How many times slower one candidate is than another, from the rounds in which both took turns. It travels: numpy
alone, Python 3.10.

The unit is the round, never the single inference: inferences of one turn share whatever the machine was doing then,
and counting them as independent makes an interval that is far too narrow.

In each round chance decides who goes first. What the machine adds to the first and to the second turn of a round
(drift, heat, a neighbour's burst) then falls on either candidate with equal chance, whatever it was and however much
one round resembles the next: whether it raises or lowers the round's ratio is a fair coin. The sign test asks for
nothing more, so the interval that belongs to it, from one order statistic of the rounds' ratios to another, keeps its
confidence under any drift and any distribution, and a few rounds that a neighbour has spoiled do not move it. A fixed
order (back and forth) does not have that: noise that outlasts a turn then repeats its sign from round to round.

What the interval does not know: the same file loaded a second time lies elsewhere in memory, which may make it some
tenths of a percent faster or slower for as long as it stays loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import comb

import numpy as np

from bench.turns.timing import Row


@dataclass(frozen=True)
class Ratio:
    """How many times slower `numerator` is than `denominator`, with its confidence interval."""

    numerator: str
    denominator: str
    ratio: float
    low: float
    high: float
    confidence: float
    """What the interval holds at least: 0.95 or a little more from six rounds on, what they can tell with fewer."""
    rounds: int

    @property
    def half_width(self) -> float:
        """Half the interval as a share of the ratio."""
        return (self.high - self.low) / 2 / self.ratio


def paired_ratio(numerator: Row, denominator: Row, confidence: float = 0.95) -> Ratio:
    """How many times slower `numerator` is, from the rounds that both took part in. Both rows must be `ok`.

    A round gives the ratio of the two turns' medians; the ratio is the median of these over the rounds.
    """
    pairs = zip(numerator.rounds_ns, denominator.rounds_ns, strict=False)
    ratios = np.sort([middle(above) / middle(below) for above, below in pairs])
    cut, kept = sign_interval(len(ratios), confidence)
    return Ratio(
        numerator=numerator.name,
        denominator=denominator.name,
        ratio=float(np.median(ratios)),
        low=float(ratios[cut]),
        high=float(ratios[-1 - cut]),
        confidence=kept,
        rounds=len(ratios),
    )


def middle(samples: Sequence[int]) -> float:
    """Median of a turn, of its first samples of an odd number.

    That is above the true median as often as below, however skewed the noise is and however many samples there are; the
    mean of the two middle ones of an even number is not, and a turn of two would look slower than one of three.
    """
    return float(np.median(samples[: (len(samples) - 1) // 2 * 2 + 1]))


def sign_interval(n: int, confidence: float) -> tuple[int, float]:
    """(cut, confidence kept) of a median's interval that leaves out `cut` of n >= 1 values on each side.

    The narrowest that keeps the confidence: the median lies beyond the value number cut + 1 from one end with the
    chance that at most `cut` of n fair coins fall on one side. Where even the whole range does not keep it (n < 6 for
    0.95), that is the interval, with the confidence that it has.
    """
    tails = list(accumulate(comb(n, side) / 2**n for side in range(n // 2 + 1)))
    allowed = [cut for cut, tail in enumerate(tails) if 2 * tail <= 1 - confidence]
    cut = max(allowed, default=0)
    return cut, max(1 - 2 * tails[cut], 0.0)
