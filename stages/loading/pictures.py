"""The images and labels of a split on the network's grid: kept decoded, or read each time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pipeline.errors import DataError
from pipeline.facts import usable_cores
from stages.datasets.index import Index
from stages.datasets.pixels import read_fitted, read_top
from stages.loading.decoded import Arrays, decoded_bytes, mapped

MEMORY_BYTES = 1 << 30
"""What `auto` keeps in memory at most."""


class Pictures:
    """The samples of a split.

    `keep` is `memory`, `disk` (below `folder`), `none`, or `auto`: memory where the split fits into 1 GiB.
    DataError for a split that is empty or has no labels, and for an unreadable file.
    """

    def __init__(self, index: Index, root: Path, split: str, keep: str = "auto", folder: Path | None = None) -> None:
        self.index = index
        self.root = root
        self.samples = index.samples(split)
        if not self.samples:
            raise DataError(f"split {split} of {index.name} is empty: nothing to train on")
        if not index.labelled(split):
            raise DataError(f"split {split} of {index.name} has images without labels: nothing to train on")
        self.kept: Arrays | None = None
        if keep == "disk":
            assert folder is not None, "decoded images on disk need a folder"
            self.kept = mapped(index, split, folder, self.read_into)
        elif keep == "memory" or (keep == "auto" and decoded_bytes(index, split) <= MEMORY_BYTES):
            images_NHWC = np.empty((len(self.samples), *index.size_px, 3), dtype=np.uint8)
            labels_NHW = np.empty(images_NHWC.shape[:3], dtype=np.uint8)
            self.read_into(images_NHWC, labels_NHW)
            self.kept = images_NHWC, labels_NHW

    def read_into(self, images_NHWC: np.ndarray, labels_NHW: np.ndarray) -> None:
        """Decode every sample into the arrays, by as many threads as there are cores."""

        def read(i: int) -> None:
            images_NHWC[i], labels_NHW[i] = read_fitted(self.root, self.samples[i], self.index)

        with ThreadPoolExecutor(usable_cores()) as pool:
            list(pool.map(read, range(len(self.samples))))

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, i: int, rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Sample `i` as (image uint8 H x W x 3, label uint8 H x W); only the first `rows` rows where that is given."""
        if self.kept is not None:
            return self.kept[0][i], self.kept[1][i]
        if rows is None:
            return read_fitted(self.root, self.samples[i], self.index)
        return read_top(self.root, self.samples[i], self.index, rows)
