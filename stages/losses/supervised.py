"""Cross-entropy against labels."""

from torch import Tensor
from torch.nn import functional as F

IGNORE = 255


def supervised(logits_NChw: Tensor, labels_NHW: Tensor) -> Tensor:
    """Mean cross-entropy over valid pixels, logits upsampled bilinearly (corners aligned) to the labels' grid.

    Logits N x C x h x w float, labels N x H x W uint8 or int64, 255 = ignore -> scalar. A batch without a valid
    pixel gives 0 with a live graph, where torch's own mean gives NaN. Source: Liu et al. 2019.
    """
    labels_NHW = labels_NHW.long()
    upsampled_NCHW = resize(at_least_fp32(logits_NChw), labels_NHW.shape[-2:])
    total = F.cross_entropy(upsampled_NCHW, labels_NHW, ignore_index=IGNORE, reduction="sum")
    return total / (labels_NHW != IGNORE).sum().clamp(min=1)


def resize(map_NChw: Tensor, size_hw: tuple[int, ...]) -> Tensor:
    """Bilinear, corners aligned; the map itself where it has that size."""
    if map_NChw.shape[-2:] == size_hw:
        return map_NChw
    return F.interpolate(map_NChw, size=size_hw, mode="bilinear", align_corners=True)


def at_least_fp32(values: Tensor) -> Tensor:
    """bf16 and fp16 become float32, for sums and norms that would overflow or lose digits; float64 stays."""
    return values if values.itemsize >= 4 else values.float()
