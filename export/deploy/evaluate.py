"""`python evaluate.py IMAGES LABELS`: mIoU of the very file that runs here, engine or ONNX."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from export.deploy.choose import add_options, choose, open_runtime, program, say
from export.deploy.infer import segment
from export.deploy.manifest import Bundle, sha256
from export.deploy.pairs import pairs_sha256, split_of
from export.deploy.pictures import picture_files, read
from pipeline.errors import DataError, StoreError
from stages.metrics import IGNORE, Confusion

ACCURACY = "accuracy.json"
NAMED = 8
"""Pixel values that the warning names."""


def main(folder: Path) -> int:
    """The program, on the bundle in `folder`."""
    parser = argparse.ArgumentParser(description="Score a file of this bundle on labelled pictures.")
    parser.add_argument("images", type=Path, help="folder of pictures")
    parser.add_argument("labels", type=Path, help="folder of labels: 8-bit PNGs of the data set's ids, same stems")
    add_options(parser)
    return program(run, folder, parser)


def run(bundle: Bundle, options: argparse.Namespace) -> int:
    """Score, keep the figures in accuracy.json under the file's digest, and print them as one JSON document."""
    runtime_name, path = choose(bundle, options.runtime, options.form)
    read_accuracy(bundle.folder / ACCURACY)
    pairs = pair_up(options.images, options.labels)
    confusion = Confusion(len(bundle.classes))
    label_map = np.array(bundle.manifest["label_map"], dtype=np.uint8)
    pixels = np.zeros(256, dtype=np.int64)
    with open_runtime(runtime_name, path, options.threads) as runtime:
        say(f"{path.name} with {runtime.name}")
        for number, (image, label) in enumerate(pairs, 1):
            image_HWC = read(image)
            ids_HW = read_ids(label)
            pixels += np.bincount(ids_HW.ravel(), minlength=256)
            labels_HW = label_map[ids_HW]
            if labels_HW.shape != image_HWC.shape[:2]:
                raise DataError(f"{label} is {labels_HW.shape}, its picture {image_HWC.shape[:2]}")
            confusion.add(segment(runtime, image_HWC, bundle.preprocess), labels_HW)
            if number % 10 == 0 or number == len(pairs):
                say(f"{number} of {len(pairs)}")
        used = runtime.name
    unscored = unscored_pixels(pixels, label_map)
    if strange := {value: count for value, count in unscored.items() if value != IGNORE}:
        say(f"warning: {told(strange, int(pixels.sum()))}")
    scores = confusion.scores([row["name"] for row in bundle.classes])
    digest, data = pairs_sha256((sha256(image), sha256(label)) for image, label in pairs), bundle.manifest["data"]
    split = split_of(digest, data["splits"])
    say(f"scored on split {split} of {data['name']}" if split else strangers(data))
    found = {
        "file": path.name,
        "sha256": sha256(path),
        "runtime": used,
        "images": len(pairs),
        "folder": str(options.images),
        "data": data["name"] if split else None,
        "split": split,
        "pairs_sha256": digest,
        "unscored_pixels_by_id": {str(value): count for value, count in unscored.items()},
        **scores,
    }
    keep(bundle.folder / ACCURACY, found)
    print(json.dumps(found))
    return 0


def unscored_pixels(pixels: np.ndarray, label_map: np.ndarray) -> dict[int, int]:
    """Pixels (int64[256], by value of the label files) of the values that stand for no class (uint8[256])."""
    return {int(value): int(pixels[value]) for value in np.flatnonzero(pixels) if label_map[value] == IGNORE}


def told(strange: dict[int, int], pixels: int) -> str:
    """What is left out of the scores, in one line."""
    named = ", ".join(f"{value} ({count:,} pixels)" for value, count in list(strange.items())[:NAMED])
    more = f" and {len(strange) - NAMED} more" if len(strange) > NAMED else ""
    share = 100 * sum(strange.values()) / pixels
    return f"{share:.2f} % of the pixels are not scored, their ids stand for no class of the network: {named}{more}"


def strangers(data: Mapping[str, Any]) -> str:
    """That the pictures are no split of the network's data, in one line."""
    known = ", ".join(f"{name} ({split['images']})" for name, split in data["splits"].items())
    return (
        f"warning: these pictures with their labels are no split of {data['name']}, which has "
        f"{known or 'none that is labelled'}: this mIoU stands beside none of theirs"
    )


def pair_up(images: Path, labels: Path) -> list[tuple[Path, Path]]:
    """Each picture with the label of its stem; DataError naming a picture without one."""
    for folder in (images, labels):
        if not folder.is_dir():
            raise DataError(f"no folder {folder}")
    by_stem = {path.stem: path for path in labels.iterdir() if path.suffix.lower() == ".png"}
    pairs = [(path, by_stem.get(path.stem)) for path in picture_files(images)]
    for image, label in pairs:
        if label is None:
            raise DataError(f"{image.name} has no label {image.stem}.png in {labels}")
    return [(image, label) for image, label in pairs if label is not None]


def read_ids(path: Path) -> np.ndarray:
    """Pixel values of a label, uint8 H x W; DataError for a label that is no 8-bit picture of ids."""
    try:
        with Image.open(path) as image:
            values = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if values.ndim != 2 or values.dtype != np.uint8:
        raise DataError(f"{path} is no 8-bit picture of class ids but {values.dtype} with {values.ndim} axes")
    return values


def read_accuracy(path: Path) -> dict[str, Any]:
    """What accuracy.json holds; StoreError where it cannot be read."""
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise StoreError(f"{path} is no JSON: delete it and score again") from error
    return known


def keep(path: Path, found: dict[str, Any]) -> None:
    """Add the figures to accuracy.json, which holds one entry a file's digest."""
    known = read_accuracy(path)
    known[found["sha256"]] = found
    path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
