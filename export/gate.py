"""The parity gate: the same picture files through the torch student and through every exported form."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.parity import (
    Comparison,
    LabelAgreement,
    LogitErrors,
    evenly_spread,
    label_agreement,
    logit_errors,
)
from export.runtimes.protocol import Runtime
from pipeline.errors import DataError
from pipeline.stage import Context
from stages.datasets.index import Index, images_root
from stages.datasets.pixels import read_fitted_image
from stages.evaluation.evaluate import evaluate
from stages.preprocess import Preprocess


@dataclass(frozen=True)
class Pictures:
    """A part of a split, spread evenly over it, and how its files become inputs."""

    index: Index
    """Of `data`, its split cut down to the part."""
    root: Path
    split: str
    preprocess: Preprocess

    def __len__(self) -> int:
        return len(self.index.samples(self.split))

    def sha256(self) -> str:
        """Over the names and contents of the files."""
        rows = [[sample.image, sample.image_sha256] for sample in self.index.samples(self.split)]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def batches(self, size: int) -> Iterator[np.ndarray]:
        """uint8 n x H x W x 3 with n <= size."""
        samples = self.index.samples(self.split)
        for start in range(0, len(samples), size):
            chunk = samples[start : start + size]
            yield np.stack([read_fitted_image(self.root, sample, self.preprocess) for sample in chunk])


def pictures(
    ctx: Context, data: Path, index: Index, split: str, preprocess: Preprocess, wanted: int | None
) -> Pictures:
    """`wanted` pictures of a split, or all; DataError for a split without pictures."""
    samples = index.samples(split)
    if not samples:
        others = " or ".join(name for name, found in index.splits.items() if found)
        raise DataError(f"export.onnx reads split {split} of {index.name}, which has no images; there are in {others}")
    chosen = tuple(samples[position] for position in evenly_spread(len(samples), wanted or len(samples)))
    part = dataclasses.replace(index, splits={**index.splits, split: chosen})
    return Pictures(part, images_root(data, index, ctx.settings), split, preprocess)


def predict(runtime: Runtime, images_NHWC: np.ndarray) -> np.ndarray:
    """`runtime.predict` for any N up to a file's fixed batch, which is filled up and cut again."""
    fixed = runtime.input.shape[0]
    filled = fill(images_NHWC, fixed) if isinstance(fixed, int) else images_NHWC
    return runtime.predict(filled)[: len(images_NHWC)]


def fill(images_NHWC: np.ndarray, batch: int) -> np.ndarray:
    """`batch` images, the last one repeated where there are fewer."""
    return np.concatenate([images_NHWC, np.repeat(images_NHWC[-1:], batch - len(images_NHWC), axis=0)])


def labels_of(result: np.ndarray) -> np.ndarray:
    """uint8 N x H x W labels from either output."""
    return result if result.ndim == 3 else result.argmax(axis=1).astype(np.uint8)


def compare_outputs(
    reference: Runtime, exported: Mapping[str, Runtime], batches: Iterable[np.ndarray]
) -> dict[str, tuple[LabelAgreement, LogitErrors | None]]:
    """Each exported form against `reference`, which gives logits, over all batches."""
    agreements = {name: LabelAgreement(0, 0, 0, 0) for name in exported}
    errors: dict[str, LogitErrors] = {}
    for images_NHWC in batches:
        wanted_NCHW = reference.predict(images_NHWC)
        for name, runtime in exported.items():
            result = predict(runtime, images_NHWC)
            agreements[name] += label_agreement(wanted_NCHW, labels_of(result))
            if runtime.output.name == "logits":
                errors[name] = errors.get(name, LogitErrors(0, 0, 0)) + logit_errors(wanted_NCHW, result)
    return {name: (agreements[name], errors.get(name)) for name in exported}


def score(ctx: Context, runtime: Runtime, part: Pictures, batch: int, title: str) -> dict[str, Any]:
    """Scores of a runtime over a part of a split, on the labels' own grid."""

    def labels(images_NHWC: np.ndarray) -> np.ndarray:
        return labels_of(predict(runtime, images_NHWC))

    with ctx.progress(f"mIoU {title}", math.ceil(len(part) / batch), 0) as bar:
        return evaluate(
            labels,
            part.index,
            part.root,
            part.split,
            part.preprocess,
            batch,
            on_images=lambda images: bar.step(images, {}),
        )


def compare(
    ctx: Context,
    reference: Runtime,
    exported: Mapping[str, Runtime],
    few: Pictures,
    many: Pictures,
    batch: int,
) -> tuple[list[Comparison], dict[str, Any]]:
    """Outputs on `few` pictures, mIoU on `many`: a comparison per form, and everybody's scores by name."""
    outputs = compare_outputs(reference, exported, few.batches(batch))
    scores = {"torch": score(ctx, reference, many, batch, "torch")}
    scores |= {name: score(ctx, runtime, many, batch, name) for name, runtime in exported.items()}
    miou = {name: values["miou"] for name, values in scores.items()}
    comparisons = [
        Comparison(name, runtime.name, len(few), *outputs[name], miou["torch"], miou[name], len(many))
        for name, runtime in exported.items()
    ]
    return comparisons, scores
