"""Predictions of a trained network as PNG files: for a benchmark's test server, for other programs, for the eye."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from pipeline.errors import DataError
from stages.datasets.catalogue import published_classes
from stages.datasets.index import images_root, read_index
from stages.datasets.layout import IMAGE_SUFFIXES
from stages.datasets.pixels import TOO_LARGE, UNREADABLE, unreadable
from stages.evaluation.evaluate import read_ahead
from stages.evaluation.predict import torch_predictor
from stages.nets.normalise import Normalise
from stages.nets.saved import load_net
from stages.preprocess import Preprocess, fit, read_image, restore
from stages.training.config import EvaluationConfig
from stages.training.device import require_device

BATCH = 4
Classes = Sequence[Mapping[str, Any]]
"""labels.json: id, name and rgb of each class."""


@dataclass(frozen=True)
class Task:
    """A picture to predict, and the file that takes the prediction."""

    image: Path
    target: Path


Bar = Callable[[int], Callable[[int], None]]
"""Function of the number of images to come that gives a function to call with how many were done."""


def infer_split(
    network: Path,
    data: Path,
    split: str,
    settings: Mapping[str, Any],
    form: str,
    out: Path,
    device: str,
    seen: EvaluationConfig,
    bar: Bar,
) -> int:
    """Predict every image of a split of the data artifact; returns how many. Labels are not read.

    DataError for an empty split, a root that is not there, an unreadable image.
    """
    index = read_index(data)
    samples = index.samples(split)
    if not samples:
        filled = ", ".join(name for name, members in index.splits.items() if members)
        raise DataError(f"split {split} of {index.name} has no images: give one of {filled}")
    root = images_root(data, index, settings)
    return infer(network, tasks_of(root, [sample.image for sample in samples], out), form, device, seen, bar)


def infer_folder(
    network: Path, images: Path, form: str, out: Path, device: str, seen: EvaluationConfig, bar: Bar
) -> int:
    """Predict every picture below a folder; returns how many. DataError where there is none, or one is unreadable."""
    if not images.is_dir():
        raise DataError(f"--images: no folder {images}")
    names = sorted(
        path.relative_to(images).as_posix() for path in images.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES
    )
    if not names:
        raise DataError(f"--images: no picture below {images}: {', '.join(IMAGE_SUFFIXES)} are read")
    return infer(network, tasks_of(images, names, out), form, device, seen, bar)


def tasks_of(root: Path, names: Sequence[str], out: Path) -> list[Task]:
    """Each image with its target: `out/<file name>.png`, below the image's own folders where names repeat."""
    stems = Counter(PurePosixPath(name).stem for name in names)
    flat = max(stems.values()) == 1
    relative = [f"{PurePosixPath(n).stem}.png" if flat else str(PurePosixPath(n).with_suffix(".png")) for n in names]
    twice = [name for name, count in Counter(relative).items() if count > 1]
    if twice:
        raise DataError(f"{root}: two images would both become {twice[0]}: rename one")
    return [Task(root / name, out / target) for name, target in zip(names, relative, strict=True)]


def infer(network: Path, tasks: Sequence[Task], form: str, device: str, seen: EvaluationConfig, bar: Bar) -> int:
    """Predict the tasks' images and write each at its own size; returns how many."""
    classes: Classes = json.loads((network / "labels.json").read_text(encoding="utf-8"))
    preprocess = Preprocess.from_json(json.loads((network / "preprocess.json").read_text(encoding="utf-8")))
    encode = encoder(form, classes)
    require_device(device)
    net, spec = load_net(network)
    predict = torch_predictor(net.to(device), Normalise(spec.mean, spec.std).to(device), device, seen)
    done = bar(len(tasks))
    pictures = read_ahead(lambda task: read(task.image, preprocess), tasks, 2 * BATCH)
    for chunk, batch in batches(tasks, pictures):
        predictions = predict(np.stack([fitted_HWC for fitted_HWC, _ in batch]))
        for task, (_, size_hw), ids_HW in zip(chunk, batch, predictions, strict=True):
            task.target.parent.mkdir(parents=True, exist_ok=True)
            encode(restore(ids_HW, preprocess, size_hw)).save(task.target)
            done(1)
    return len(tasks)


def batches(
    tasks: Sequence[Task], pictures: Iterator[tuple[np.ndarray, tuple[int, int]]]
) -> Iterator[tuple[Sequence[Task], list[tuple[np.ndarray, tuple[int, int]]]]]:
    """Tasks and their pictures, a few at a time."""
    for start in range(0, len(tasks), BATCH):
        chunk = tasks[start : start + BATCH]
        yield chunk, list(islice(pictures, len(chunk)))


def read(path: Path, preprocess: Preprocess) -> tuple[np.ndarray, tuple[int, int]]:
    """An image on the network's grid (uint8 H x W x 3), and its own height and width."""
    try:
        image_HWC = read_image(path)
    except (*UNREADABLE, *TOO_LARGE) as error:
        raise unreadable(path, error) from error
    return fit(image_HWC, preprocess), image_HWC.shape[:2]


def encoder(form: str, classes: Classes) -> Callable[[np.ndarray], Image.Image]:
    """What makes a picture of class ids (uint8 H x W): `ids` in grey, `color` with the classes' palette, `cityscapes`.

    `cityscapes` are the label ids that its test server takes; DataError where a class is none of its 19.
    """
    if form == "cityscapes":
        table = label_ids(classes)
        return lambda ids_HW: Image.fromarray(table[ids_HW])
    palette = bytes(value for each in classes for value in each["rgb"])

    def encode(ids_HW: np.ndarray) -> Image.Image:
        picture = Image.fromarray(ids_HW)
        if form == "color":
            picture.putpalette(palette)
        return picture

    return encode


def label_ids(classes: Classes) -> np.ndarray:
    """Cityscapes' label id by class id, uint8[classes]; DataError for a class that has none."""
    by_name = {row.name: row.id for row in published_classes("cityscapes") if not row.ignore}
    strangers = [each["name"] for each in classes if each["name"] not in by_name]
    if strangers:
        raise DataError(
            f"--as cityscapes: {strangers[0]!r} is none of Cityscapes' 19 classes: the network was trained on other "
            "data; give --as ids"
        )
    return np.array([by_name[each["name"]] for each in classes], dtype=np.uint8)
