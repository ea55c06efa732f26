"""Scores of anything that predicts class ids, on whole images, at the labels' own grid."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pipeline.errors import DataError
from stages.datasets.index import Index, Sample
from stages.datasets.pixels import read_fitted_image, read_label
from stages.evaluation.predict import Predict
from stages.metrics import Reduce, Tally
from stages.preprocess import Preprocess, restore
from stages.training.config import EvaluationConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")
R = TypeVar("R")
READERS = 4
WHOLE = ""
"""Key of the tally over all images of a split; the others are the beginnings of file names."""


@dataclass(frozen=True)
class Share:
    """The part of the images that this process scores: every `world`-th from `rank` on."""

    rank: int = 0
    world: int = 1
    reduce: Reduce = lambda counts: counts
    """Sums counts over all processes."""


def share_of(fabric: Fabric) -> Share:
    """This process's part of the images, summed through Fabric where there is more than one process."""
    import torch

    def reduce(counts: np.ndarray) -> np.ndarray:
        summed = fabric.all_reduce(torch.from_numpy(counts).to(fabric.device), reduce_op="sum")
        assert isinstance(summed, torch.Tensor), "a tensor is reduced to a tensor"
        return summed.cpu().numpy()

    return Share(fabric.global_rank, fabric.world_size, reduce) if fabric.world_size > 1 else Share()


def evaluate(
    predict: Predict,
    index: Index,
    root: Path,
    split: str,
    preprocess: Preprocess,
    batch: int,
    on_images: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Scores of a split as `Tally.scores` gives them, and `images`, the number of images.

    Images go through `preprocess`, predictions back to each label's own grid. The last batch may be smaller.
    `on_images(n)` is called after each batch. DataError for an empty split, one without labels, an unreadable file.
    """
    counted = tallies(predict, index, root, split, preprocess, batch, on_images)
    return scores_of(counted, index, split)


def tallies(
    predict: Predict,
    index: Index,
    root: Path,
    split: str,
    preprocess: Preprocess,
    batch: int,
    on_images: Callable[[int], None] | None = None,
    evaluation: EvaluationConfig | None = None,
    share: Share | None = None,
) -> dict[str, Tally]:
    """The counts of a split: over all its images under `WHOLE`, and over each of the config's subsets that it has.

    With a `share`, every process reads its own part of the images and all get the same sums.
    """
    settings, part = evaluation or EvaluationConfig(), share or Share()
    everything = scored(index, split)
    samples = everything[part.rank :: part.world]
    there = [prefix for prefix in settings.subsets if any(belongs(sample.image, prefix) for sample in everything)]
    counted = {key: Tally(len(index.classes), settings.boundary) for key in (WHOLE, *there)}

    def read(sample: Sample) -> tuple[str, np.ndarray, np.ndarray]:
        label_HW = read_label(root, sample, index.label_map)
        return sample.image, read_fitted_image(root, sample, preprocess), label_HW

    triples = read_ahead(read, samples, 2 * batch)
    while chunk := list(islice(triples, batch)):
        names, images, labels = zip(*chunk, strict=True)
        for name, prediction_HW, label_HW in zip(names, predict(np.stack(images)), labels, strict=True):
            restored_HW = restore(prediction_HW, preprocess, label_HW.shape)
            for key, tally in counted.items():
                if belongs(name, key):
                    tally.add(restored_HW, label_HW)
        if on_images:
            on_images(len(labels))
    for tally in counted.values():
        tally.reduce(part.reduce)
    return counted


def scored(index: Index, split: str) -> tuple[Sample, ...]:
    """The split's samples; DataError where it cannot be scored."""
    samples = index.samples(split)
    if not samples:
        raise DataError(f"split {split} of {index.name} is empty: nothing to score")
    if not index.labelled(split):
        raise DataError(
            f"split {split} of {index.name} has no published labels: predict it with `infer --split {split}`"
        )
    return samples


def belongs(image: str, prefix: str) -> bool:
    """Whether an image's file name starts so; every one does with `WHOLE`."""
    return PurePosixPath(image).name.startswith(prefix)


def scores_of(counted: Mapping[str, Tally], index: Index, split: str) -> dict[str, Any]:
    """Scores of the whole split, and under `subsets` those of each subset, each with its number of images."""
    names = [c.name for c in index.classes]
    scores = {
        key: {**tally.scores(names), "images": sum(belongs(sample.image, key) for sample in index.samples(split))}
        for key, tally in counted.items()
    }
    whole = scores.pop(WHOLE)
    return {**whole, "subsets": scores} if scores else whole


def read_ahead(read: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[R]:
    """`read` of each item in order; threads read up to `ahead` further items while the caller works."""
    rest = iter(items)
    with ThreadPoolExecutor(READERS) as pool:
        waiting = deque(pool.submit(read, item) for item in islice(rest, ahead))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(read, item) for item in islice(rest, 1))
            yield result
