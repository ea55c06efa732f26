"""The golden check: a picture that came along must give the labels that came along."""

from __future__ import annotations

import numpy as np

from export.runtimes.protocol import Runtime
from pipeline.errors import ParityError


def check_golden(images_NHWC: np.ndarray, labels_NHW: np.ndarray, runtime: Runtime, file: str, needed: float) -> float:
    """Share of the golden picture's pixels with the expected label; ParityError where it is below `needed`."""
    result = runtime.predict(images_NHWC)
    found_NHW = result if result.ndim == 3 else result.argmax(axis=1)
    share = float((found_NHW == labels_NHW).mean())
    if not share >= needed:
        raise ParityError(
            f"{file} with {runtime.name} agrees with the golden labels on {share:.4f} of the pixels, at least "
            f"{needed:.4f} must: do not use it"
        )
    return share
