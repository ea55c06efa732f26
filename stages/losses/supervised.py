"""Cross-entropy against labels."""

from torch import Tensor

from stages.losses.binding import Bound, Setting
from stages.losses.counts import normalised
from stages.losses.maps import at_least_fp32
from stages.losses.methods import TermConfig
from stages.losses.upsampled import IGNORE, upsampled_cross_entropy


def supervised(logits_NChw: Tensor, labels_NHW: Tensor) -> Tensor:
    """Mean cross-entropy over valid pixels, logits upsampled bilinearly (corners aligned) to the labels' grid.

    Logits N x C x h x w float, labels N x H x W uint8 or int64, 255 = ignore -> scalar. A batch without a valid
    pixel gives 0 with a live graph, where torch's own mean gives NaN. Source: Liu et al. 2019.
    """
    total = upsampled_cross_entropy(at_least_fp32(logits_NChw), labels_NHW)
    return normalised(total, (labels_NHW != IGNORE).sum())


def build(_: TermConfig, __: Setting) -> Bound:
    """The term on the map that it is given: the logits, or the auxiliary head's."""
    return Bound(lambda seen: supervised(seen.student, seen.labels_NHW), over="valid pixels")
