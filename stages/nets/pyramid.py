"""Pyramid pooling (Zhao et al. 2017, section 3.2), with each pooling written as two constant matrix products.

Axes: N image, C channel, h and w cells of the features, b bins.

Batch norms have momentum 0.1 and eps 1e-5 and LeakyReLUs a slope of 0.01: the defaults of InPlaceABN, with which the
public code of Liu et al. 2019 is written. InPlaceABN scales by |gamma| + eps, these by gamma, so its checkpoints need
converting.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.nets.layers import require_two_images


def averaging(cells: int, bins: int) -> list[list[float]]:
    """A, `bins` x `cells`: row i averages the cells floor(i*cells/bins) .. ceil((i+1)*cells/bins) - 1.

    These are the cells of adaptive average pooling; they overlap where `bins` does not divide `cells`.
    """
    rows = []
    for index in range(bins):
        start, end = index * cells // bins, -(-(index + 1) * cells // bins)
        rows.append([1 / (end - start) if start <= cell < end else 0.0 for cell in range(cells)])
    return rows


def _matrix(cells: int, bins: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    # An inference tensor would be cached for a later training pass, where autograd refuses it.
    with torch.inference_mode(False):
        return torch.tensor(averaging(cells, bins), dtype=dtype, device=device)


_cached_matrix = lru_cache(maxsize=256)(_matrix)


def pool(features_NChw: Tensor, bins: int) -> Tensor:
    """Adaptive average pooling to N x C x b x b as A_h X A_w^T, in the features' dtype and on their device.

    Two MatMul nodes in ONNX, where adaptive pooling to a size that does not divide the grid has no operator.
    """
    # A traced graph holds the matrices as its own constants; a cache would keep the tracer's fake tensors.
    matrix = _matrix if torch.compiler.is_compiling() else _cached_matrix
    height, width = features_NChw.shape[-2:]
    dtype, device = features_NChw.dtype, features_NChw.device
    rows_bh = matrix(height, bins, dtype, device)
    columns_bw = matrix(width, bins, dtype, device)
    return rows_bh @ features_NChw @ columns_bw.T


class PyramidPooling(nn.Module):
    """Features beside their averages over 1, 4, 9 and 36 regions, fused by a 3x3 convolution."""

    def __init__(
        self, channels: int, branch_channels: int, out_channels: int, bins: tuple[int, ...] = (1, 2, 3, 6)
    ) -> None:
        super().__init__()
        self.bins = bins
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, branch_channels, 1, bias=False),
                nn.BatchNorm2d(branch_channels),
                nn.LeakyReLU(0.01, inplace=True),
            )
            for _ in bins
        )
        self.fuse = nn.Sequential(
            nn.Conv2d(len(bins) * branch_channels + channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.LeakyReLU(0.01, inplace=True),
            nn.Dropout2d(0.1),
        )

    def forward(self, features_NChw: Tensor) -> Tensor:
        """N x channels x h x w to N x out_channels x h x w; NetworkError for one image in training mode."""
        require_two_images(features_NChw, self)
        size = features_NChw.shape[-2:]
        # One copy to NCHW here spares the matrix products one each; without channels_last it is no copy.
        dense_NChw = features_NChw.contiguous()
        maps = []
        for bins, branch in zip(self.bins, self.branches, strict=True):
            pooled = branch(pool(dense_NChw, bins))
            resized = F.interpolate(pooled, size=size, mode="bilinear", align_corners=True)
            maps.append(resized.to(features_NChw.dtype))
        fused: Tensor = self.fuse(torch.cat([*maps, features_NChw], dim=1))
        return fused
