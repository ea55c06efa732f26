"""What an exported form may be off by and still ship."""

from pydantic import Field

from pipeline.stage import StageConfig


class Limits(StageConfig):
    """Limits of one precision, against the torch student."""

    max_logit_error: float = Field(ge=0)
    """Largest absolute difference of a logit."""
    max_miou_delta_points: float = Field(ge=0)
    """Largest change of the mIoU in either direction, in percentage points."""
    max_violations: int = Field(ge=0)
    """Pixels whose label differs although torch's two largest logits are no near tie."""
