"""Batches of training crops: one seeded stream, whatever the number of workers and the first iteration."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.errors import DataError
from pipeline.facts import usable_cores
from pipeline.group.ranks import ALONE, Group
from pipeline.signals import outlast_a_stop
from stages.loading.augment import Augmentation, Draw, crop_into, crop_on_device, draw
from stages.loading.pictures import Pictures

ORDER, SAMPLE = 0, 1
"""Domains of the seed: the order of an epoch, the augmentation of one sample."""


class Batch(NamedTuple):
    """Crops and their labels."""

    images_NHWC: Tensor
    """uint8, RGB."""
    labels_NHW: Tensor
    """uint8 class ids, 255 = ignored."""


class Uncropped(NamedTuple):
    """Whole images and labels, and what was drawn for each: the device makes the crops."""

    images_NHWC: Tensor
    labels_NHW: Tensor
    draws: Sequence[Draw]


def training_batches(
    pictures: Pictures,
    augmentation: Augmentation,
    batch: int,
    seed: int,
    start_iteration: int,
    iterations: int,
    workers: int,
    device: str | None = None,
    group: Group = ALONE,
) -> Generator[Batch]:
    """Batches `start_iteration` .. `iterations` - 1 of the stream that `seed` fixes, or a process's share of each.

    Every epoch is a new permutation of the split; a sample's augmentation depends on (seed, position in the
    stream) alone. `workers` processes load ahead, at most one a core; 0 loads in this one. Where a `device` is
    given, it cuts the crops out of whole images, from the same draws. DataError for an unreadable file.
    """
    stream = Stream(pictures, augmentation, batch, seed, device is not None, group)
    processes = min(workers, max(1, usable_cores() // group.local_world))
    # The loader's processes are the threads: a pool of OpenCV's own would not survive their fork.
    cv2.setNumThreads(1)
    loader = DataLoader(
        stream,
        batch_size=None,
        sampler=range(start_iteration, iterations),
        num_workers=processes,
        # A fork shares the decoded images instead of copying them.
        multiprocessing_context="fork" if processes and sys.platform == "linux" else None,
        worker_init_fn=outlast_a_stop,
        pin_memory=torch.cuda.is_initialized(),
        # A loader draws a seed for its workers when it starts: taken from torch's own generator, that draw would move
        # the dropout of a resumed run.
        generator=torch.Generator().manual_seed(seed),
    )
    for item in loader:
        if isinstance(item, DataError):
            raise item
        yield on_device(item, augmentation.crop_px, device) if device else item


def on_device(item: Uncropped, crop_px: tuple[int, int], device: str) -> Batch:
    """The crops of whole images, cut on the device."""
    images_NHWC = item.images_NHWC.to(device, non_blocking=True)
    labels_NHW = item.labels_NHW.to(device, non_blocking=True)
    return Batch(*crop_on_device(images_NHWC, labels_NHW, item.draws, crop_px))


class Stream(Dataset[Batch | Uncropped | DataError]):
    """Batch by iteration; a fault is returned, since a worker that raised it would wrap it in a traceback."""

    def __init__(
        self,
        pictures: Pictures,
        augmentation: Augmentation,
        batch: int,
        seed: int,
        whole: bool = False,
        group: Group = ALONE,
    ) -> None:
        self.pictures = pictures
        self.augmentation = augmentation
        self.batch = batch
        self.seed = seed
        self.whole = whole
        """Whether the images are given as they are, beside their draws."""
        self.share = group.share(batch)
        """Which images of a batch this process reads."""

    def __getitem__(self, iteration: int) -> Batch | Uncropped | DataError:
        positions = range(iteration * self.batch, (iteration + 1) * self.batch)[self.share]
        try:
            return self.uncropped(positions) if self.whole else self.crops(positions)
        except DataError as error:
            return error

    def crops(self, positions: Sequence[int]) -> Batch:
        """The augmented samples at positions of the stream."""
        images_NHWC = np.empty((len(positions), *self.augmentation.crop_px, 3), dtype=np.uint8)
        labels_NHW = np.empty(images_NHWC.shape[:3], dtype=np.uint8)
        for n, position in enumerate(positions):
            image_HWC, labels_HW, drawn = self.sample(position)
            crop_into(image_HWC, labels_HW, drawn, images_NHWC[n], labels_NHW[n])
        return Batch(torch.from_numpy(images_NHWC), torch.from_numpy(labels_NHW))

    def uncropped(self, positions: Sequence[int]) -> Uncropped:
        """The whole samples at positions of the stream, and their draws."""
        images, labels, draws = zip(*map(self.sample, positions), strict=True)
        return Uncropped(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels)), draws)

    def sample(self, position: int) -> tuple[np.ndarray, np.ndarray, Draw]:
        """Image, label and draw at a position of the stream."""
        epoch, place = divmod(position, len(self.pictures))
        rng = np.random.Generator(np.random.PCG64((self.seed, SAMPLE, position)))
        drawn = draw(self.pictures.index.size_px, self.augmentation, rng)
        i = epoch_order(self.seed, epoch, len(self.pictures))[place]
        image_HWC, labels_HW = self.pictures.read(i, None if self.whole else drawn.rows.source.stop)
        return image_HWC, labels_HW, drawn


@lru_cache(maxsize=2)
def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The permutation of an epoch."""
    return np.random.Generator(np.random.PCG64((seed, ORDER, epoch))).permutation(count)
