"""What an exported form may be off by and still ship."""

from pydantic import Field

from pipeline.stage import StageConfig


class Limits(StageConfig):
    """Limits of one precision, against the torch student; what is absent is measured and not judged."""

    max_logit_error: float | None = Field(None, ge=0)
    """Largest absolute difference of a logit, where torch's logits span at most 100 over the compared pictures; beyond
    that it grows with their span (`export.parity.widened`)."""
    min_agreement: float | None = Field(None, ge=0, le=1)
    """Smallest share of pixels with torch's label."""
    max_violations: int | None = Field(None, ge=0)
    """Pixels whose label differs although torch's two largest logits are no near tie."""
    max_miou_change: float | None = Field(None, ge=0)
    """Largest change of the mIoU in either direction, in percentage points."""
    max_miou_drop: float | None = Field(None, ge=0)
    """Largest loss of mIoU, in percentage points."""
