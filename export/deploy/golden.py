"""The golden check: the picture that came along must give the labels that came along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from export.deploy.manifest import Bundle
from export.runtimes.protocol import Runtime
from pipeline.errors import ParityError


def check_golden(bundle: Bundle, runtime: Runtime, form: Mapping[str, Any]) -> float:
    """Share of the golden picture's pixels with the expected label; ParityError below the form's tolerance."""
    images_NHWC, labels_NHW = bundle.golden()
    result = runtime.predict(images_NHWC)
    found_NHW = result if result.ndim == 3 else result.argmax(axis=1)
    share = float((found_NHW == labels_NHW).mean())
    needed = form["golden_min_agreement"]
    if not share >= needed:
        raise ParityError(
            f"{form['file']} with {runtime.name} agrees with the golden labels on {share:.4f} of the pixels, at least "
            f"{needed:.4f} must: do not use it"
        )
    return share
