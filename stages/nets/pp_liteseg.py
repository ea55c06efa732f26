"""PP-LiteSeg (Peng et al. 2022): STDC, a pooling context of three grids, a decoder of attention fusions.

From the paper (section 3; channels of table 1) and PaddleSeg's code: T on STDC1 and B on STDC2, bilinear
resizing without aligned corners, batch norm eps 1e-5 and momentum 0.1. The averages are matrix products (see
`pyramid.pool`). Deviations: of the two auxiliary heads, at 1/16 and 1/32, the one at 1/16 is kept; the context
module's convolutions have no bias.

`_8`, `_16`, `_32` in a name say how much coarser than the images a map is.
"""

import torch
from torch import Tensor, nn

from stages.nets.layers import conv_bn, conv_bn_relu, initialise, require_two_images, resized, scaled
from stages.nets.pyramid import pool
from stages.nets.stdc import STDC

BINS = (1, 2, 4)


class SimplePyramid(nn.Module):
    """SPPM: averages over 1, 4 and 16 regions, each by a 1x1 convolution, added and smoothed (section 3.3)."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(conv_bn_relu(channels, out_channels, 1) for _ in BINS)
        self.smooth = conv_bn_relu(out_channels, out_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to N x out_channels x h x w; NetworkError for one image in training mode."""
        require_two_images(x, self)
        dense = x.contiguous()
        maps = [branch(pool(dense, bins)) for bins, branch in zip(BINS, self.branches, strict=True)]
        first, second, third = (resized(each, x, align_corners=False) for each in maps)
        out: Tensor = self.smooth(first + second + third)
        return out


class AttentionFusion(nn.Module):
    """UAFM with spatial attention: cell by cell a weighted mean of a fine and a coarse map (section 3.2)."""

    def __init__(self, fine_channels: int, coarse_channels: int, out_channels: int) -> None:
        super().__init__()
        self.enter = conv_bn_relu(fine_channels, coarse_channels, 3)
        self.attention = nn.Sequential(conv_bn_relu(4, 2, 3), conv_bn(2, 1, 3))
        self.smooth = conv_bn_relu(coarse_channels, out_channels, 3)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """N x fine_channels x h x w, and a coarser map, to N x out_channels x h x w."""
        entered = self.enter(fine)
        raised = resized(coarse, entered, align_corners=False)
        described = [*mean_and_maximum(entered), *mean_and_maximum(raised)]
        weight = torch.sigmoid(self.attention(torch.cat(described, dim=1)))
        out: Tensor = self.smooth(weight * entered + (1 - weight) * raised)
        return out


def mean_and_maximum(x_NChw: Tensor) -> tuple[Tensor, Tensor]:
    """Over the channels: two maps N x 1 x h x w in the dtype of `x`."""
    return x_NChw.mean(dim=1, keepdim=True).to(x_NChw.dtype), x_NChw.amax(dim=1, keepdim=True)


def score(channels: int, hidden: int, classes: int) -> nn.Sequential:
    """A 3x3 and a 1x1 convolution that score classes; the latter without bias."""
    return nn.Sequential(conv_bn_relu(channels, hidden, 3), nn.Conv2d(hidden, classes, 1, bias=False))


class PPLiteSeg(nn.Module):
    """Backbone, context, three fusions from coarse to fine, classifier at 1/8.

    Taps: `backbone` is the backbone's last map (1/32), `pyramid` the last fusion's (1/8), which the classifier
    reads. The auxiliary head reads the fusion at 1/16.
    """

    def __init__(self, backbone: STDC, channels: tuple[int, int, int], hidden: tuple[int, int], classes: int) -> None:
        """`channels` of the fusions at 1/8, 1/16 and 1/32, `hidden` of the classifiers at 1/8 and 1/16."""
        super().__init__()
        b8, b16, b32 = backbone.channels
        c8, c16, c32 = channels
        self.backbone = backbone
        self.context = SimplePyramid(b32, c32)
        self.fuse_32 = AttentionFusion(b32, c32, c32)
        self.fuse_16 = AttentionFusion(b16, c32, c16)
        self.fuse_8 = AttentionFusion(b8, c16, c8)
        self.head = score(c8, hidden[0], classes)
        self.aux_head: nn.Module | None = score(c16, hidden[1], classes)
        self.tap_channels = {"logits": classes, "backbone": b32, "pyramid": c8}
        initialise(self)

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """Normalised float images to `logits` and taps, each N x C x h x w; `aux` too in training mode."""
        map_8, map_16, map_32 = self.backbone(images_NCHW)
        fused_16 = self.fuse_16(map_16, self.fuse_32(map_32, self.context(map_32)))
        pyramid = self.fuse_8(map_8, fused_16)
        outputs = {"logits": self.head(pyramid), "backbone": map_32, "pyramid": pyramid}
        if self.training and self.aux_head is not None:
            outputs["aux"] = self.aux_head(fused_16)
        return outputs


def pp_liteseg_t(classes: int, width: float = 1.0) -> PPLiteSeg:
    """PP-LiteSeg-T on STDC1, every width scaled by `width`."""
    channels = (scaled(32, width), scaled(64, width), scaled(128, width))
    return PPLiteSeg(STDC(1, width), channels, (scaled(32, width), scaled(64, width)), classes)


def pp_liteseg_b(classes: int, width: float = 1.0) -> PPLiteSeg:
    """PP-LiteSeg-B on STDC2, every width scaled by `width`."""
    channels = (scaled(64, width), scaled(96, width), scaled(128, width))
    return PPLiteSeg(STDC(2, width), channels, (scaled(64, width), scaled(64, width)), classes)
