"""OCNet (Yuan and Wang 2018) in the form ASP-OC: self-attention as one branch of an atrous pyramid.

As in the authors' code: a 3x3 convolution takes 2048 channels to 512; the attention's branch works on 256, its
keys and queries are one transform of 128, and it attends on a grid halved by a 2x2 max-pool; dilations 12, 24,
36; batch norms are InPlaceABN with LeakyReLU 0.01 (eps 1e-5, momentum 0.1). Deviations: the max-pool rounds up,
so that a grid of one cell passes; the convolution after the
attention starts as the others do, not at 0, so that every parameter learns from the first step.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.nets.aspp import RATES
from stages.nets.attention import as_map, attend, cells
from stages.nets.layers import conv_bn, initialise, resized, scaled
from stages.nets.resnet import ResNet
from stages.nets.segmenter import Segmenter


def conv_abn(channels: int, out_channels: int, kernel: int, dilation: int = 1, bias: bool = False) -> nn.Sequential:
    """Convolution, batch norm, LeakyReLU 0.01."""
    act = nn.LeakyReLU(0.01, inplace=True)
    return conv_bn(channels, out_channels, kernel, dilation=dilation, bias=bias, act=act)


class ObjectContext(nn.Module):
    """Each cell as the mean of all cells, weighted by likeness (section 3.2), at half the grid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        key_channels = channels // 2
        self.key = conv_abn(channels, key_channels, 1, bias=True)
        self.value = nn.Conv2d(channels, channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        self.fuse = conv_abn(channels, channels, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to the same."""
        halved = F.max_pool2d(x, 2, ceil_mode=True)
        keys = cells(self.key(halved))
        context = as_map(attend(keys, keys, cells(self.value(halved))), halved)
        out: Tensor = self.fuse(resized(self.out(context), x))
        return out


class AtrousObjectContext(nn.Module):
    """Object context beside a 1x1 and three dilated 3x3 branches, fused by a 1x1 convolution (section 3.3)."""

    def __init__(self, channels: int, branch_channels: int, out_channels: int) -> None:
        super().__init__()
        self.context = nn.Sequential(conv_abn(channels, branch_channels, 3, bias=True), ObjectContext(branch_channels))
        self.branches = nn.ModuleList(
            [conv_abn(channels, branch_channels, 1)]
            + [conv_abn(channels, branch_channels, 3, dilation=rate) for rate in RATES]
        )
        self.fuse = nn.Sequential(conv_abn((len(RATES) + 2) * branch_channels, out_channels, 1), nn.Dropout2d(0.1))

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to N x out_channels x h x w."""
        maps = [self.context(x), *(branch(x) for branch in self.branches)]
        out: Tensor = self.fuse(torch.cat(maps, dim=1))
        return out


def ocnet_resnet(classes: int, depth: int, width: float = 1.0) -> Segmenter:
    """OCNet-R`depth` with an auxiliary head on layer3."""
    backbone = ResNet(depth, width)
    channels, branch_channels = scaled(512, width), scaled(256, width)
    pyramid = nn.Sequential(
        conv_abn(backbone.channels, channels, 3, bias=True),
        AtrousObjectContext(channels, branch_channels, channels),
    )
    initialise(pyramid)
    return Segmenter(backbone, pyramid, channels, classes)
