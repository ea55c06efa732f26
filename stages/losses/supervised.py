"""Cross-entropy against labels."""

from torch import Tensor
from torch.nn import functional as F

from stages.losses.maps import at_least_fp32, resize

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
