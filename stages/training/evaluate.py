"""Scores of anything that predicts class ids, on whole images, at the labels' own grid."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from pipeline.errors import DataError
from stages.datasets.index import Index, Sample
from stages.datasets.pixels import read_fitted_image, read_label
from stages.losses.maps import resize
from stages.metrics import Confusion
from stages.preprocess import Preprocess, restore

Predict = Callable[[np.ndarray], np.ndarray]
"""uint8 N x H x W x 3 RGB -> uint8 N x H x W class ids."""

T = TypeVar("T")
R = TypeVar("R")
READERS = 4


def evaluate(
    predict: Predict,
    index: Index,
    root: Path,
    split: str,
    preprocess: Preprocess,
    batch: int,
    on_images: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Scores of a split as `Confusion.scores` gives them, and `images`, the number of images.

    Images go through `preprocess`, predictions back to each label's own grid. The last batch may be smaller.
    `on_images(n)` is called after each batch. DataError for an empty split or an unreadable file.
    """
    samples = index.samples(split)
    if not samples:
        raise DataError(f"split {split} of {index.name} is empty: nothing to score")
    confusion = Confusion(len(index.classes))

    def read(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        return read_fitted_image(root, sample, preprocess), read_label(root, sample, index.label_map)

    pairs = read_ahead(read, samples, 2 * batch)
    while chunk := list(islice(pairs, batch)):
        images, labels = zip(*chunk, strict=True)
        for prediction_HW, label_HW in zip(predict(np.stack(images)), labels, strict=True):
            confusion.add(restore(prediction_HW, preprocess, label_HW.shape), label_HW)
        if on_images:
            on_images(len(labels))
    return {**confusion.scores([c.name for c in index.classes]), "images": len(samples)}


def read_ahead(read: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[R]:
    """`read` of each item in order; threads read up to `ahead` further items while the caller works."""
    rest = iter(items)
    with ThreadPoolExecutor(READERS) as pool:
        waiting = deque(pool.submit(read, item) for item in islice(rest, ahead))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(read, item) for item in islice(rest, 1))
            yield result


def torch_predictor(
    net: nn.Module,
    normalise: nn.Module,
    device: str,
) -> Predict:
    """A network in eval mode as a `Predict`: logits resized to the images bilinearly, corners aligned."""
    assert not net.training, "scores need a network in eval mode"

    # inference_mode would leave inference tensors in the networks' caches, which training then rejects.
    @torch.no_grad()
    def predict(images_NHWC: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(images_NHWC).to(device)
        logits_NCHW = resize(net(normalise(images))["logits"], images_NHWC.shape[1:3])
        return logits_NCHW.argmax(dim=1).to(torch.uint8).cpu().numpy()

    return predict
