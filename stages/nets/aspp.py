"""Atrous spatial pyramid pooling (Chen et al. 2017, "Rethinking atrous convolution", section 3.3)."""

import torch
from torch import Tensor, nn

from stages.nets.layers import conv_bn_relu, global_average, require_two_images, resized

RATES = (12, 24, 36)
"""Dilations of the 3x3 branches at output stride 8."""


class AtrousPyramid(nn.Module):
    """A 1x1 branch, three 3x3 branches of different rates and the image's average, fused by a 1x1 convolution."""

    def __init__(self, channels: int, out_channels: int, rates: tuple[int, ...] = RATES) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [conv_bn_relu(channels, out_channels, 1)]
            + [conv_bn_relu(channels, out_channels, 3, dilation=rate) for rate in rates]
        )
        self.image = conv_bn_relu(channels, out_channels, 1)
        self.fuse = conv_bn_relu((len(rates) + 2) * out_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to N x out_channels x h x w; NetworkError for one image in training mode."""
        require_two_images(x, self)
        maps = [branch(x) for branch in self.branches]
        image = resized(self.image(global_average(x)), x)
        out: Tensor = self.fuse(torch.cat([*maps, image], dim=1))
        return out
