"""Batches of training crops: one seeded stream, whatever the number of workers and the first iteration."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.errors import DataError
from pipeline.facts import usable_cores
from stages.datasets.index import Index
from stages.datasets.pixels import read_fitted
from stages.training.augment import Augmentation, random_crop

CACHE_BYTES = 1 << 30
ORDER, SAMPLE = 0, 1
"""Domains of the seed: the order of an epoch, the augmentation of one sample."""


class Batch(NamedTuple):
    """Crops and their labels."""

    images_NHWC: Tensor
    """uint8, RGB."""
    labels_NHW: Tensor
    """uint8 class ids, 255 = ignored."""


def training_batches(
    index: Index,
    root: Path,
    split: str,
    augmentation: Augmentation,
    batch: int,
    seed: int,
    start_iteration: int,
    iterations: int,
    workers: int,
) -> Iterator[Batch]:
    """Batches `start_iteration` .. `iterations` - 1 of the stream that `seed` fixes.

    Every epoch is a new permutation of the split; a sample's augmentation depends on (seed, position in the
    stream) alone. Images are decoded once where the split fits into 1 GiB at `index.size_px`.
    `workers` processes load ahead, at most one a core; 0 loads in this one. DataError for an unreadable file.
    """
    crops = Crops(Pictures(index, root, split, CACHE_BYTES), augmentation, batch, seed)
    processes = min(workers, usable_cores())
    loader = DataLoader(
        crops,
        batch_size=None,
        sampler=range(start_iteration, iterations),
        num_workers=processes,
        # A fork shares the decoded images instead of copying them.
        multiprocessing_context="fork" if processes and sys.platform == "linux" else None,
        pin_memory=torch.cuda.is_available(),
        # A loader draws a seed for its workers when it starts: taken from torch's own generator, that draw would move
        # the dropout of a resumed run.
        generator=torch.Generator().manual_seed(seed),
    )
    for item in loader:
        if isinstance(item, DataError):
            raise item
        yield item


class Pictures:
    """Images and labels of a split on the network's grid: kept in memory if they fit, else read each time."""

    def __init__(self, index: Index, root: Path, split: str, cache_bytes: int) -> None:
        self.index = index
        self.root = root
        self.samples = index.samples(split)
        if not self.samples:
            raise DataError(f"split {split} of {index.name} is empty: nothing to train on")
        height, width = index.size_px
        fits = len(self.samples) * height * width * 4 <= cache_bytes
        self.kept = self.read_all() if fits else None

    def read_all(self) -> tuple[np.ndarray, np.ndarray]:
        """All images (N x H x W x 3) and labels (N x H x W), uint8."""
        images_NHWC = np.empty((len(self.samples), *self.index.size_px, 3), dtype=np.uint8)
        labels_NHW = np.empty(images_NHWC.shape[:3], dtype=np.uint8)

        def read_into(i: int) -> None:
            images_NHWC[i], labels_NHW[i] = read_fitted(self.root, self.samples[i], self.index)

        with ThreadPoolExecutor(usable_cores()) as pool:
            list(pool.map(read_into, range(len(self.samples))))
        return images_NHWC, labels_NHW

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        if self.kept is None:
            return read_fitted(self.root, self.samples[i], self.index)
        return self.kept[0][i], self.kept[1][i]


class Crops(Dataset[Batch | DataError]):
    """Batch by iteration; a fault is returned, since a worker that raised it would wrap it in a traceback."""

    def __init__(self, pictures: Pictures, augmentation: Augmentation, batch: int, seed: int) -> None:
        self.pictures = pictures
        self.augmentation = augmentation
        self.batch = batch
        self.seed = seed

    def __getitem__(self, iteration: int) -> Batch | DataError:
        images_NHWC = np.empty((self.batch, *self.augmentation.crop_px, 3), dtype=np.uint8)
        labels_NHW = np.empty(images_NHWC.shape[:3], dtype=np.uint8)
        try:
            for n in range(self.batch):
                images_NHWC[n], labels_NHW[n] = self.crop(iteration * self.batch + n)
        except DataError as error:
            return error
        return Batch(torch.from_numpy(images_NHWC), torch.from_numpy(labels_NHW))

    def crop(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """The augmented sample at a position of the stream."""
        epoch, place = divmod(position, len(self.pictures))
        image_HWC, labels_HW = self.pictures[epoch_order(self.seed, epoch, len(self.pictures))[place]]
        rng = np.random.Generator(np.random.PCG64((self.seed, SAMPLE, position)))
        return random_crop(image_HWC, labels_HW, self.augmentation, rng)


@lru_cache(maxsize=2)
def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The permutation of an epoch."""
    return np.random.Generator(np.random.PCG64((seed, ORDER, epoch))).permutation(count)
