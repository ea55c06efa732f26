"""STDC1 and STDC2 (Fan et al. 2021): blocks that concatenate ever narrower maps of ever larger fields of view."""

import torch
from torch import Tensor, nn

from stages.nets.layers import conv_bn, conv_bn_relu, initialise, scaled

LAYOUTS: dict[int, tuple[int, int, int]] = {1: (2, 2, 2), 2: (4, 5, 3)}
"""STDC1 or STDC2 to the blocks of the stages at 1/8, 1/16 and 1/32: table 2."""


class DenseConcatenation(nn.Module):
    """A 1x1 and three 3x3 convolutions of 1/2, 1/4, 1/8 and 1/8 of the channels, concatenated (figure 3).

    With stride 2 a depthwise convolution halves the grid after the first, and an average pool what is kept of it.
    """

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        half, quarter, eighth = out_channels // 2, out_channels // 4, out_channels // 8
        self.first = conv_bn_relu(channels, half, 1)
        self.down = conv_bn(half, half, 3, stride, groups=half) if stride > 1 else nn.Identity()
        self.keep = nn.AvgPool2d(3, stride, padding=1) if stride > 1 else nn.Identity()
        self.rest = nn.ModuleList(
            [conv_bn_relu(half, quarter, 3), conv_bn_relu(quarter, eighth, 3), conv_bn_relu(eighth, eighth, 3)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to N x out_channels x h/stride x w/stride."""
        first = self.first(x)
        maps, last = [self.keep(first)], self.down(first)
        for each in self.rest:
            last = each(last)
            maps.append(last)
        return torch.cat(maps, dim=1)


def stage(blocks: int, channels: int, out_channels: int) -> nn.Sequential:
    """Blocks of which the first halves the grid."""
    return nn.Sequential(
        DenseConcatenation(channels, out_channels, 2),
        *(DenseConcatenation(out_channels, out_channels, 1) for _ in range(blocks - 1)),
    )


class STDC(nn.Module):
    """Two convolutions of stride 2 and three stages; `channels` are those of its maps at 1/8, 1/16 and 1/32.

    Batch norm eps 1e-5 and momentum 0.1, ReLU.
    """

    def __init__(self, layout: int, width: float = 1.0) -> None:
        super().__init__()
        base = scaled(64, width)
        self.channels = (4 * base, 8 * base, 16 * base)
        self.stem = nn.Sequential(conv_bn_relu(3, base // 2, 3, stride=2), conv_bn_relu(base // 2, base, 3, stride=2))
        blocks = LAYOUTS[layout]
        self.stage8 = stage(blocks[0], base, self.channels[0])
        self.stage16 = stage(blocks[1], self.channels[0], self.channels[1])
        self.stage32 = stage(blocks[2], self.channels[1], self.channels[2])
        initialise(self)

    def forward(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised float images to the maps at 1/8, 1/16 and 1/32."""
        map_8 = self.stage8(self.stem(images_NCHW))
        map_16 = self.stage16(map_8)
        return map_8, map_16, self.stage32(map_16)
