"""How much there is of each class, and how large the pictures are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stages.datasets.index import Index, Sample
from stages.datasets.layout import IGNORE

COMMONEST = 5
"""How many of the sizes are listed."""


def frequencies(counts: Mapping[str, np.ndarray], index: Index) -> dict[str, Any]:
    """Per split with labels, from its pixels by value (256): the share of each class in all pixels, and of the ignored.

    `{"train": {"classes": {"road": 0.31, ...}, "ignored": 0.04}}`.
    """
    return {split: shares(values, index) for split, values in counts.items() if values.any()}


def shares(counts: np.ndarray, index: Index) -> dict[str, Any]:
    """Pixel counts by label value (256) as shares by class."""
    by_class = [0] * 256
    for value, count in enumerate(counts.tolist()):
        by_class[index.label_map[value]] += count
    total = sum(by_class)
    return {
        "classes": {c.name: by_class[c.id] / total for c in index.classes},
        "ignored": by_class[IGNORE] / total,
    }


def image_sizes(splits: Mapping[str, Sequence[Sample]]) -> dict[str, Any]:
    """Per split that has images: smallest, median and largest height and width in pixels, and the commonest sizes."""
    return {split: sizes(samples) for split, samples in splits.items() if samples}


def sizes(samples: Sequence[Sample]) -> dict[str, Any]:
    """Statistics of one split."""
    sizes_N2 = np.array([(sample.height, sample.width) for sample in samples])
    low, middle, high = sizes_N2.min(axis=0), np.median(sizes_N2, axis=0), sizes_N2.max(axis=0)
    common = Counter(map(tuple, sizes_N2.tolist())).most_common()
    return {
        "images": len(samples),
        "height_px": {"min": int(low[0]), "median": float(middle[0]), "max": int(high[0])},
        "width_px": {"min": int(low[1]), "median": float(middle[1]), "max": int(high[1])},
        "sizes": len(common),
        "commonest": [{"height_px": h, "width_px": w, "images": n} for (h, w), n in common[:COMMONEST]],
    }
