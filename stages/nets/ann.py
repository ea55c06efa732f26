"""Asymmetric non-local network (Zhu et al. 2019) over a dilated ResNet.

Attention that reads 110 averages of the map, of 1, 9, 36 and 64 regions, in place of all its cells. As in the
authors' code: layer4 reads layer3 (AFNB), then a 3x3 convolution to 512 channels and self-attention (APNB), keys and
values of 256, dropout 0.05, biases before the batch norms (eps 1e-5, momentum 0.1), ReLU; no ReLU ends the first
block. The regions are averaged by matrix products (see `pyramid.pool`). Deviations: the convolutions after the
attention start as the others do, not at 0, so that every parameter learns from the first step; the auxiliary head
is that of the other networks here (LeakyReLU, dropout 0.1), of the same size.
"""

import torch
from torch import Tensor, nn

from stages.nets.attention import as_map, attend, cells
from stages.nets.layers import conv_bn, conv_bn_relu, initialise, scaled
from stages.nets.pyramid import pool
from stages.nets.resnet import ResNet
from stages.nets.segmenter import auxiliary_head

BINS = (1, 3, 6, 8)


def sampled(map_NChw: Tensor) -> Tensor:
    """N x 110 x C: averages of the map's regions, those of each of `BINS` after the other (section 3.2)."""
    dense = map_NChw.contiguous()
    return torch.cat([pool(dense, bins).flatten(2) for bins in BINS], dim=2).transpose(1, 2)


class SampledAttention(nn.Module):
    """Cells read averages of a map and keep their own features beside them; what both blocks share."""

    def __init__(self, low_channels: int, channels: int, value_channels: int, act: nn.Module | None) -> None:
        super().__init__()
        self.value = nn.Conv2d(low_channels, value_channels, 1)
        self.out = nn.Conv2d(value_channels, channels, 1)
        self.fuse = nn.Sequential(conv_bn(2 * channels, channels, 1, bias=True, act=act), nn.Dropout2d(0.05))

    def forward(self, queries: Tensor, keys: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Queries on the grid of `high`, keys on that of `low`, which gives the values, to N x channels x h x w."""
        attended = attend(cells(queries), sampled(keys), sampled(self.value(low)))
        context = self.out(as_map(attended, high))
        out: Tensor = self.fuse(torch.cat([context, high], dim=1))
        return out


class FusionBlock(nn.Module):
    """AFNB: a deep map reads a shallower one, each through a transform of its own (section 3.3)."""

    def __init__(self, low_channels: int, channels: int, key_channels: int) -> None:
        super().__init__()
        self.key = conv_bn_relu(low_channels, key_channels, 1, bias=True)
        self.query = conv_bn_relu(channels, key_channels, 1, bias=True)
        self.attention = SampledAttention(low_channels, channels, key_channels, act=None)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """N x low_channels x h x w and N x channels x h x w to the latter's shape."""
        out: Tensor = self.attention(self.query(high), self.key(low), low, high)
        return out


class PyramidBlock(nn.Module):
    """APNB: a map reads itself; keys and queries are one transform (section 3.2)."""

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.key = conv_bn_relu(channels, key_channels, 1, bias=True)
        self.attention = SampledAttention(channels, channels, key_channels, act=nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to the same."""
        keys = self.key(x)
        out: Tensor = self.attention(keys, keys, x, x)
        return out


class ANN(nn.Module):
    """Backbone, fusion of layer3 into layer4, self-attention, classifier; an auxiliary head while it trains.

    Taps at 1/8: `backbone` is layer4's map, `pyramid` the self-attention's, which the classifier reads.
    """

    def __init__(self, backbone: ResNet, channels: int, key_channels: int, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.fusion = FusionBlock(backbone.middle_channels, backbone.channels, key_channels)
        self.reduce = conv_bn_relu(backbone.channels, channels, 3, bias=True)
        self.pyramid = PyramidBlock(channels, key_channels)
        self.head = nn.Conv2d(channels, classes, 1)
        self.aux_head: nn.Module | None = auxiliary_head(backbone.middle_channels, classes)
        self.tap_channels = {"logits": classes, "backbone": backbone.channels, "pyramid": channels}
        for part in (self.fusion, self.reduce, self.pyramid, self.head):
            initialise(part)

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """Normalised float images to `logits` and taps, each N x C x h x w; `aux` too in training mode."""
        middle, last = self.backbone(images_NCHW)
        features = self.reduce(self.fusion(middle, last))
        pyramid = self.pyramid(features)
        outputs = {"logits": self.head(pyramid), "backbone": last, "pyramid": pyramid}
        if self.training and self.aux_head is not None:
            outputs["aux"] = self.aux_head(middle)
        return outputs


def ann_resnet(classes: int, depth: int, width: float = 1.0) -> ANN:
    """ANN-R`depth`."""
    return ANN(ResNet(depth, width), scaled(512, width), scaled(256, width), classes)
