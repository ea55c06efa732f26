"""The golden picture, synthetic so that it may go anywhere, and what is expected of it."""

from pathlib import Path

import numpy as np

from export.gate import fill, labels_of
from export.runtimes.onnx_runtime import OnnxRuntime
from stages.datasets import scene
from stages.preprocess import Preprocess

SEED = 20
SLACK = {"fp32": 0.002, "fp16": 0.01}
"""Share of the pixels on which another runtime may differ beyond what onnxruntime does on a CPU."""
INT8_SLACK = 0.05


def render_golden(preprocess: Preprocess) -> np.ndarray:
    """A synthetic road scene of the network's size: uint8 1 x H x W x 3."""
    image_HWC, _ = scene.render((preprocess.height, preprocess.width), np.random.default_rng(SEED))
    return image_HWC[None]


def golden_labels(onnx: Path, images_NHWC: np.ndarray) -> np.ndarray:
    """What a file makes of the golden picture in onnxruntime: uint8 1 x H x W."""
    with OnnxRuntime(onnx) as runtime:
        size = runtime.input.shape[0]
        return labels_of(runtime.predict(fill(images_NHWC, size if isinstance(size, int) else 1)))[:1]


def min_agreement(form: str, onnx: Path, images_NHWC: np.ndarray, labels_NHW: np.ndarray) -> float:
    """Share of the golden picture's pixels on which a file must say what the fp32 file says, in any runtime."""
    here = float((golden_labels(onnx, images_NHWC) == labels_NHW).mean())
    return round(here - SLACK.get(form, INT8_SLACK), 4)
