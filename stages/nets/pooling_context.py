"""Context modules that pool a coarse map at growing strides: DAPPM (Hong et al. 2021) and PAPPM (Xu et al. 2023)."""

import torch
from torch import Tensor, nn

from stages.nets.layers import global_average, require_two_images, resized
from stages.nets.preactivated import pre_conv

POOLS = ((5, 2), (9, 4), (17, 8))
"""Kernel and stride of the average pools; zeros beyond the edge count, as in the authors' code."""

SCALES = len(POOLS) + 1
"""Pools, and the average of the whole map."""


class PooledBranches(nn.Module):
    """The map and its averages at four scales, each by a 1x1 convolution to `channels`, on the map's grid."""

    def __init__(self, channels: int, branch_channels: int) -> None:
        super().__init__()
        self.pools = nn.ModuleList(nn.AvgPool2d(kernel, stride, kernel // 2) for kernel, stride in POOLS)
        self.own = pre_conv(channels, branch_channels, 1)
        self.pooled = nn.ModuleList(pre_conv(channels, branch_channels, 1) for _ in range(SCALES))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """N x channels x h x w to the map's own branch and, from fine to coarse, the four pooled ones."""
        require_two_images(x, self)
        averages = [pool(x) for pool in self.pools] + [global_average(x)]
        maps = [branch(average) for branch, average in zip(self.pooled, averages, strict=True)]
        return self.own(x), [resized(each, x, align_corners=False) for each in maps]


class DeepAggregation(nn.Module):
    """DAPPM: each scale is added to the one before it and smoothed by a 3x3 convolution; all of them are fused."""

    def __init__(self, channels: int, branch_channels: int, out_channels: int) -> None:
        super().__init__()
        self.branches = PooledBranches(channels, branch_channels)
        self.smooth = nn.ModuleList(pre_conv(branch_channels, branch_channels, 3) for _ in range(SCALES))
        self.fuse = pre_conv((SCALES + 1) * branch_channels, out_channels, 1)
        self.shortcut = pre_conv(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to N x out_channels x h x w; NetworkError for one image in training mode."""
        own, pooled = self.branches(x)
        maps = [own]
        for smooth, each in zip(self.smooth, pooled, strict=True):
            maps.append(smooth(each + maps[-1]))
        out: Tensor = self.fuse(torch.cat(maps, dim=1)) + self.shortcut(x)
        return out


class ParallelAggregation(nn.Module):
    """PAPPM: the map is added to every scale, and one grouped 3x3 convolution smooths them side by side."""

    def __init__(self, channels: int, branch_channels: int, out_channels: int) -> None:
        super().__init__()
        self.branches = PooledBranches(channels, branch_channels)
        self.smooth = pre_conv(SCALES * branch_channels, SCALES * branch_channels, 3, groups=SCALES)
        self.fuse = pre_conv((SCALES + 1) * branch_channels, out_channels, 1)
        self.shortcut = pre_conv(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to N x out_channels x h x w; NetworkError for one image in training mode."""
        own, pooled = self.branches(x)
        smoothed = self.smooth(torch.cat([each + own for each in pooled], dim=1))
        out: Tensor = self.fuse(torch.cat([own, smoothed], dim=1)) + self.shortcut(x)
        return out
