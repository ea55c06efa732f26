"""Segmentation scores from counts over all pixels: sums, so that any number of processes can share the images."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipeline.errors import DataError

IGNORE = 255
Reduce = Callable[[np.ndarray], np.ndarray]
"""int64 array of one process -> the sum over all processes."""


class Confusion:
    """Pixel counts by (label, prediction) over any number of images; ignored pixels do not count.

    IoU of class c = n_cc / (sum_j n_cj + sum_i n_ic - n_cc), as in PASCAL VOC (Everingham et al. 2010); frequency
    weighted IoU = sum_c IoU_c * sum_j n_cj / sum_ij n_ij (Long et al. 2015).
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
        """`miou`, `pixel_accuracy`, `frequency_weighted_iou` and `per_class_iou` as shares of 1.

        mIoU is the plain mean over classes that occur in a label or a prediction; the others have IoU None.
        DataError when no pixel was counted.
        """
        if not self.counts.any():
            raise DataError("no pixel to score: every label is ignored; check `ignore` in classes.csv")
        hits, labelled = np.diag(self.counts), self.counts.sum(axis=1)
        unions = self.counts.sum(axis=0) + labelled - hits
        occurs = unions > 0
        ious = hits[occurs] / unions[occurs]
        return {
            "miou": float(np.mean(ious)),
            "pixel_accuracy": float(hits.sum() / self.counts.sum()),
            "frequency_weighted_iou": float(ious @ labelled[occurs] / self.counts.sum()),
            "per_class_iou": shares(hits, unions, names),
        }


class BoundaryCounts:
    """Boundary IoU (Cheng et al., CVPR 2021, eq. 1) summed over images, per class.

    G_d are the pixels of a class that lie within d pixels of its boundary, the picture's border included, and P_d
    those of the prediction: IoU = |G_d & P_d| / |G_d | P_d|, with d = `ratio` of the picture's diagonal. Where the
    label is ignored, the prediction is too.
    """

    def __init__(self, classes: int, ratio: float) -> None:
        self.ratio = ratio
        self.hits = np.zeros(classes, dtype=np.int64)
        self.unions = np.zeros(classes, dtype=np.int64)

    def add(self, prediction_HW: np.ndarray, label_HW: np.ndarray) -> None:
        """Count one image: uint8 class ids H x W; label 255 is ignored."""
        prediction_HW = np.where(label_HW == IGNORE, np.uint8(IGNORE), prediction_HW)
        width = max(1, round(self.ratio * math.hypot(*label_HW.shape)))
        near_label_HW, near_prediction_HW = near_boundary(label_HW, width), near_boundary(prediction_HW, width)
        both_HW = near_label_HW & near_prediction_HW & (label_HW == prediction_HW)
        hits = self.histogram(label_HW[both_HW])
        self.hits += hits
        self.unions += (
            self.histogram(label_HW[near_label_HW]) + self.histogram(prediction_HW[near_prediction_HW]) - hits
        )

    def histogram(self, ids_N: np.ndarray) -> np.ndarray:
        """How often each class id occurs."""
        return np.bincount(ids_N, minlength=IGNORE + 1)[: len(self.hits)]

    def scores(self, names: Sequence[str]) -> dict[str, Any]:
        """`boundary_miou` over the classes that occur, `per_class_boundary_iou`, and the `boundary_ratio` of d."""
        occurs = self.unions > 0
        return {
            "boundary_miou": float(np.mean(self.hits[occurs] / self.unions[occurs])) if occurs.any() else None,
            "boundary_ratio": self.ratio,
            "per_class_boundary_iou": shares(self.hits, self.unions, names),
        }


def near_boundary(labels_HW: np.ndarray, width: int) -> np.ndarray:
    """Pixels (bool H x W) with another label, or the picture's border, at most `width` rows and columns away.

    All classes at once: a pixel is inside its class where the largest and the smallest id around it are its own.
    """
    # Here and not above: on a board scores need no OpenCV.
    import cv2

    around = np.ones((2 * width + 1, 2 * width + 1), dtype=np.uint8)
    near_HW: np.ndarray = cv2.dilate(labels_HW, around) != cv2.erode(labels_HW, around)
    near_HW[:width] = near_HW[-width:] = True
    near_HW[:, :width] = near_HW[:, -width:] = True
    return near_HW


class Tally:
    """What is counted over a set of images."""

    def __init__(self, classes: int, boundary_ratio: float) -> None:
        self.confusion = Confusion(classes)
        self.boundary = BoundaryCounts(classes, boundary_ratio)

    def add(self, prediction_HW: np.ndarray, label_HW: np.ndarray) -> None:
        """Count one image: uint8 class ids H x W; label 255 is ignored."""
        self.confusion.add(prediction_HW, label_HW)
        self.boundary.add(prediction_HW, label_HW)

    def reduce(self, reduce: Reduce) -> None:
        """Take the sums over all processes, by one call of `reduce`."""
        parts = (self.confusion.counts, self.boundary.hits, self.boundary.unions)
        summed = reduce(np.concatenate([part.ravel() for part in parts]))
        for part, values in zip(parts, np.split(summed, np.cumsum([part.size for part in parts])[:-1]), strict=True):
            part[:] = values.reshape(part.shape)

    def scores(self, names: Sequence[str]) -> dict[str, Any]:
        """Scores of confusion and boundary together; DataError when no pixel was counted."""
        return {**self.confusion.scores(names), **self.boundary.scores(names)}


def shares(hits: np.ndarray, unions: np.ndarray, names: Sequence[str]) -> dict[str, float | None]:
    """hits / unions by name; None where a class does not occur."""
    return {name: float(hit / union) if union else None for name, hit, union in zip(names, hits, unions, strict=True)}
