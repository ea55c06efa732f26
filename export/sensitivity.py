"""Which layers of an int8 form must stay in floating point so that it keeps its accuracy: a bounded search.

Each convolution is quantised alone and the error of the logits ranks it; then the worst 1, 2, 4, ... are left out
until the loss of mIoU on the calibration images is within the limit.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from export.forms import Form
from export.gate import Pictures, predict, score
from export.int8 import convolutions
from export.onnx import Config
from export.runtimes.onnx_runtime import OnnxRuntime
from pipeline.stage import Context

RANKED_ON = 4
"""Images on which the layers are ranked."""
SECONDS_PER_MINUTE = 60

Quantised = Callable[[list[str]], onnx.ModelProto]
"""The form with the named nodes left out."""


def keep_float(
    ctx: Context, quantised: Quantised, reference: onnx.ModelProto, part: Pictures, config: Config, form: Form
) -> tuple[list[str], dict[str, Any]]:
    """The convolutions to leave out, and what a sidecar says of the search.

    `part` holds training images: the search never sees what accuracy is reported on. It ends after
    `config.sensitivity_minutes` with what it has, and says so.
    """
    ends = time.monotonic() + SECONDS_PER_MINUTE * config.sensitivity_minutes
    wanted = miou(ctx, reference, part, config, "torch's graph")
    loss = wanted - miou(ctx, quantised([]), part, config, form)
    excluded: list[str] = []
    ranking: list[tuple[str, float]] = []
    if loss > config.max_miou_drop:
        ranking = rank(quantised, reference, part, ends)
        for count in growing(len(ranking)):
            if time.monotonic() > ends:
                break
            excluded = [name for name, _ in ranking[:count]]
            loss = wanted - miou(ctx, quantised(excluded), part, config, f"{form} less {count}")
            if loss <= config.max_miou_drop:
                break
    ended = "within the limit" if loss <= config.max_miou_drop else "out of time or layers"
    ctx.log(f"{form}: {len(excluded)} layers stay in floating point, mIoU loss {loss:.3f} points: {ended}")
    return excluded, {
        "excluded": excluded,
        "miou_loss_on_training_images": loss,
        "ended": ended,
        "ranking": [{"node": name, "mean_abs_logit_error": error} for name, error in ranking],
    }


def growing(count: int) -> Iterator[int]:
    """1, 2, 4, ... and `count` itself."""
    size = 1
    while size < count:
        yield size
        size *= 2
    yield count


def rank(quantised: Quantised, reference: onnx.ModelProto, part: Pictures, ends: float) -> list[tuple[str, float]]:
    """(convolution, mean absolute logit error with that one alone quantised), worst first; what time allows."""
    images = next(part.batches(RANKED_ON))
    names = convolutions(reference)
    expected = run(reference, images)
    errors = {}
    for name in names:
        if time.monotonic() > ends:
            break
        alone = quantised([other for other in names if other != name])
        errors[name] = float(np.abs(run(alone, images) - expected).mean())
    return sorted(errors.items(), key=lambda item: -item[1])


def run(model: onnx.ModelProto, images_NHWC: np.ndarray) -> np.ndarray:
    """Logits of a graph for any number of images."""
    with TemporaryDirectory() as folder, opened(model, folder) as runtime:
        size = runtime.input.shape[0] if isinstance(runtime.input.shape[0], int) else len(images_NHWC)
        chunks = [images_NHWC[start : start + size] for start in range(0, len(images_NHWC), size)]
        return np.concatenate([predict(runtime, chunk) for chunk in chunks])


def miou(ctx: Context, model: onnx.ModelProto, part: Pictures, config: Config, title: str) -> float:
    """mIoU of a graph on labelled pictures, in percentage points."""
    batch = 1 if config.batch == "dynamic" else config.batch
    with TemporaryDirectory() as folder, opened(model, folder) as runtime:
        return 100 * float(score(ctx, runtime, part, batch, f"{title}, training images")["miou"])


def opened(model: onnx.ModelProto, folder: str) -> OnnxRuntime:
    """The graph in onnxruntime on the CPU."""
    path = Path(folder, "model.onnx")
    onnx.save(model, path)
    return OnnxRuntime(path)
