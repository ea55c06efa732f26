"""A few samples that stand for a split."""

from collections.abc import Sequence

import numpy as np

from stages.datasets.index import Sample


def spread(samples: Sequence[Sample], count: int) -> Sequence[Sample]:
    """At most `count` samples, evenly spaced from the first to the last."""
    if len(samples) <= count:
        return samples
    return [samples[i] for i in np.linspace(0, len(samples) - 1, count).round().astype(int)]
