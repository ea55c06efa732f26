"""`python infer.py IMAGE_OR_FOLDER_OR_VIDEO --overlay OUT --labels OUT`: class ids and overlays of pictures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from export.deploy.choose import add_options, opened, program, say
from export.deploy.manifest import Bundle
from export.deploy.pictures import frames
from export.runtimes.protocol import Runtime
from pipeline.errors import DataError
from stages.preprocess import Preprocess, fit, restore

OVERLAY_SHARE = 0.5


def main(folder: Path) -> int:
    """The program, on the bundle in `folder`."""
    parser = argparse.ArgumentParser(description="Segment pictures.")
    parser.add_argument("source", type=Path, help="picture, folder of pictures, or video")
    parser.add_argument("--overlay", type=Path, help="folder for the pictures with their classes laid over")
    parser.add_argument("--labels", type=Path, help="folder for the class ids, 8-bit PNGs in the bundle's colours")
    add_options(parser)
    return program(run, folder, parser)


def run(bundle: Bundle, options: argparse.Namespace) -> int:
    """Segment every frame; prints the share of each class as the last line, one JSON document."""
    if not (options.overlay or options.labels):
        raise DataError("nothing to write: give --overlay OUT or --labels OUT")
    if not options.source.exists():
        raise DataError(f"no picture, folder or video {options.source}")
    counts, images = np.zeros(256, dtype=np.int64), 0
    with opened(bundle, options) as runtime:
        written: set[str] = set()
        for name, image_HWC in frames(options.source):
            if name in written:
                raise DataError(f"two pictures would both become {name}.png: rename one")
            written.add(name)
            labels_HW = segment(runtime, image_HWC, bundle.preprocess)
            write(bundle, name, image_HWC, labels_HW, options)
            counts += np.bincount(labels_HW.ravel(), minlength=256)
            images += 1
            say(name)
    shares = {row["name"]: float(counts[row["id"]] / counts.sum()) for row in bundle.classes}
    print(json.dumps({"images": images, "class_shares": shares}))
    return 0


def segment(runtime: Runtime, image_HWC: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """Class ids of a picture at its own size: uint8 H x W."""
    result = runtime.predict(fit(image_HWC, preprocess)[None])[0]
    labels_HW = result if result.ndim == 2 else result.argmax(axis=0).astype(np.uint8)
    return restore(labels_HW, preprocess, (image_HWC.shape[0], image_HWC.shape[1]))


def write(bundle: Bundle, name: str, image_HWC: np.ndarray, labels_HW: np.ndarray, options: argparse.Namespace) -> None:
    """Write what was asked for of one frame."""
    if options.labels:
        options.labels.mkdir(parents=True, exist_ok=True)
        ids = Image.fromarray(labels_HW, mode="P")
        ids.putpalette(bundle.palette.tobytes())
        ids.save(options.labels / f"{name}.png")
    if options.overlay:
        options.overlay.mkdir(parents=True, exist_ok=True)
        mixed = (1 - OVERLAY_SHARE) * image_HWC + OVERLAY_SHARE * bundle.palette[labels_HW]
        Image.fromarray(mixed.round().astype(np.uint8)).save(options.overlay / f"{name}.png")
