"""PIDNet-S (Xu et al. 2023): a branch for detail (P), one for context (I) and one for boundaries (D), 7.6M parameters.

As in the authors' code: convolutions of the stem and last ones of the heads have a bias; batch norm eps 1e-5 and
momentum 0.1; bilinear resizing without aligned corners. Deviation: the boundary head on D and its loss are left
out, since nothing here makes boundary labels; D learns through the fusion alone.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.nets.layers import conv_bn, initialise, resized, scaled
from stages.nets.pooling_context import ParallelAggregation
from stages.nets.preactivated import Basic, Bottleneck, basics, head, quarter


class PixelAttention(nn.Module):
    """Pag: cell by cell a mean of two maps, weighted by their likeness (section 3.2)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.detail = conv_bn(channels, hidden, 1)
        self.context = conv_bn(channels, hidden, 1)

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        """N x channels x h x w, and a coarser map of as many channels, to the former's shape."""
        key = resized(self.context(context), detail, align_corners=False)
        likeness = (self.detail(detail) * key).sum(dim=1, keepdim=True)
        weight = torch.sigmoid(likeness).to(detail.dtype)
        return (1 - weight) * detail + weight * resized(context, detail, align_corners=False)


class BoundaryFusion(nn.Module):
    """Light-Bag: detail counts at boundaries, context elsewhere (section 3.4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.detail = conv_bn(channels, channels, 1)
        self.context = conv_bn(channels, channels, 1)

    def forward(self, detail: Tensor, context: Tensor, boundary: Tensor) -> Tensor:
        """Three maps N x channels x h x w to one."""
        edge = torch.sigmoid(boundary)
        out: Tensor = self.detail((1 - edge) * context + detail) + self.context(context + edge * detail)
        return out


class PIDNet(nn.Module):
    """`detail` and `boundary` stay at 1/8, `context` goes on to 1/64; their fusion is classified at 1/8.

    Taps at 1/8: `backbone` is the detail branch's last map, `pyramid` the fusion, which the classifier reads.
    The auxiliary head reads the detail map after the first attention.
    """

    def __init__(self, channels: int, pool_channels: int, head_channels: int, classes: int) -> None:
        super().__init__()
        c1, c2, c4, c8 = (factor * channels for factor in (1, 2, 4, 8))
        self.stem = quarter(c1)
        self.layer1, self.layer2 = basics(2, c1, c1), basics(2, c1, c2, stride=2)
        self.context3, self.detail3, self.boundary3 = basics(3, c2, c4, stride=2), basics(2, c2, c2), Basic(c2, c1)
        self.to_detail3, self.to_boundary3 = conv_bn(c4, c2, 1), conv_bn(c4, c1, 3)
        self.attention3 = PixelAttention(c2, c1)
        self.context4, self.detail4, self.boundary4 = basics(3, c4, c8, stride=2), basics(2, c2, c2), Bottleneck(c1, c1)
        self.to_detail4, self.to_boundary4 = conv_bn(c8, c2, 1), conv_bn(c8, c2, 3)
        self.attention4 = PixelAttention(c2, c1)
        self.context5 = nn.Sequential(Bottleneck(c8, c8, stride=2), Bottleneck(2 * c8, c8))
        self.detail5, self.boundary5 = Bottleneck(c2, c2), Bottleneck(c2, c2)
        self.aggregate = ParallelAggregation(2 * c8, pool_channels, c4)
        self.fuse = BoundaryFusion(c4)
        self.head = head(c4, head_channels, classes)
        self.aux_head: nn.Module | None = head(c2, head_channels, classes)
        self.tap_channels = {"logits": classes, "backbone": c4, "pyramid": c4}
        initialise(self)

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """Normalised float images to `logits` and taps, each N x C x h x w; `aux` too in training mode."""
        shared = F.relu(self.layer2(F.relu(self.layer1(self.stem(images_NCHW)))))
        context = F.relu(self.context3(shared))
        attended = self.attention3(self.detail3(shared), self.to_detail3(context))
        boundary = self.boundary3(shared)
        boundary = boundary + resized(self.to_boundary3(context), boundary, align_corners=False)
        context = F.relu(self.context4(context))
        detail = self.attention4(self.detail4(F.relu(attended)), self.to_detail4(context))
        boundary = self.boundary4(F.relu(boundary))
        boundary = boundary + resized(self.to_boundary4(context), boundary, align_corners=False)
        backbone, boundary = self.detail5(F.relu(detail)), self.boundary5(F.relu(boundary))
        context = resized(self.aggregate(self.context5(context)), backbone, align_corners=False)
        pyramid = self.fuse(backbone, context, boundary)
        outputs = {"logits": self.head(pyramid), "backbone": backbone, "pyramid": pyramid}
        if self.training and self.aux_head is not None:
            outputs["aux"] = self.aux_head(attended)
        return outputs


def pidnet_s(classes: int, width: float = 1.0) -> PIDNet:
    """PIDNet-S: 32 channels at 1/4; every width scaled by `width`."""
    return PIDNet(scaled(32, width), scaled(96, width), scaled(128, width), classes)
