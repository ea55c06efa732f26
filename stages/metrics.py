"""Segmentation scores from one confusion matrix over all pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.errors import DataError

IGNORE = 255


class Confusion:
    """Pixel counts by (label, prediction) over any number of images; ignored pixels do not count.

    IoU of class c = n_cc / (sum_j n_cj + sum_i n_ic - n_cc), as in PASCAL VOC (Everingham et al. 2010).
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.counts = np.zeros((classes, classes), dtype=np.int64)
        """Row = label, column = prediction."""

    def add(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Count uint8 class ids of equal shape; label 255 is ignored, every other id is below `classes`."""
        assert prediction.shape == label.shape, (prediction.shape, label.shape)
        counted = label != IGNORE
        cells = label[counted].astype(np.intp) * self.classes + prediction[counted]
        counts = np.bincount(cells, minlength=self.counts.size)
        assert counts.size == self.counts.size, "an id is not below the number of classes"
        self.counts += counts.reshape(self.counts.shape)

    def scores(self, names: Sequence[str]) -> dict[str, Any]:
        """`miou`, `pixel_accuracy` and `per_class_iou` as shares of 1; DataError when no pixel was counted.

        mIoU is the plain mean over classes that occur in a label or a prediction; the others have IoU None.
        """
        if not self.counts.any():
            raise DataError("no pixel to score: every label is ignored; check `ignore` in classes.csv")
        hits = np.diag(self.counts)
        unions = self.counts.sum(axis=0) + self.counts.sum(axis=1) - hits
        occurs = unions > 0
        return {
            "miou": float(np.mean(hits[occurs] / unions[occurs])),
            "pixel_accuracy": float(hits.sum() / self.counts.sum()),
            "per_class_iou": {
                name: float(hit / union) if union else None
                for name, hit, union in zip(names, hits, unions, strict=True)
            },
        }
