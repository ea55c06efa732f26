"""How a recipe asks for calibration."""

from typing import Literal

from pydantic import Field

from pipeline.stage import StageConfig

CALIBRATION_SPLIT = "train"
HALF_IMAGES = 8
"""Images on which the fp16 form is watched for values that would overflow; it needs no more than their order."""


class CalibrationConfig(StageConfig):
    """How ranges are found; always on training images, never on those that accuracy is reported on."""

    images: int = Field(128, ge=1)
    """Training images, spread evenly over the split; all where it has no more."""
    method: Literal["minmax", "entropy", "percentile"] = "minmax"
    """`minmax` keeps every value; `entropy` cuts where the distribution changes least, `percentile` cuts a share."""
    percentile: float = Field(99.999, gt=50, le=100)
    """Percentage of the values that `percentile` keeps."""
