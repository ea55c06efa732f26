"""Dilated depthwise convolution whose weight gradient is right and fast on a CPU.

In torch 2.15 the CPU's weight gradient of a dilated depthwise convolution in bf16 and channels_last is garbage (it
overflows), and in every layout and dtype it is 5 to 20 times slower than without dilation. A convolution dilated by d
is d * d undilated ones, one for each phase of the grid; that gradient is both right and fast.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DilatedDepthwise(nn.Conv2d):
    """Depthwise 3x3 convolution of stride 1 that keeps the grid; parameters and values are those of nn.Conv2d."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__(channels, channels, 3, 1, dilation, dilation, groups=channels, bias=False)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """N x channels x h x w to the same shape."""
        if not (self.training and x_NChw.is_cpu):
            return super().forward(x_NChw)
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            x_NChw, weight = x_NChw.to(dtype), weight.to(dtype)
        return _PhaseGradient.apply(x_NChw, weight, self.dilation[0])


class _PhaseGradient(torch.autograd.Function):
    """conv2d whose weight gradient is summed over the phases of the grid."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return F.conv2d(x, weight, None, 1, dilation, dilation, weight.shape[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        dilation, channels = ctx.dilation, weight.shape[0]
        # With stride 1 and a kept grid, the input gradient is the same convolution with the kernel turned round.
        grad_x = F.conv2d(grad, weight.flip(2, 3), None, 1, dilation, dilation, channels)
        grad_weight = torch.ops.aten.convolution_backward(
            phases(grad, dilation), phases(x, dilation), weight,
            None, [1, 1], [1, 1], [1, 1], False, [0, 0], channels, [False, True, False],
        )[1]  # fmt: skip
        return grad_x, grad_weight, None


def phases(x_NChw: Tensor, dilation: int) -> Tensor:
    """Every `dilation`-th cell of a map as a map of its own: N x C x h x w to (N d d) x C x ceil(h/d) x ceil(w/d)."""
    h, w = x_NChw.shape[-2:]
    if h % dilation or w % dilation:
        x_NChw = F.pad(x_NChw, (0, -w % dilation, 0, -h % dilation))
    n, c, h, w = x_NChw.shape
    split = x_NChw.permute(0, 2, 3, 1).reshape(n, h // dilation, dilation, w // dilation, dilation, c)
    together = split.permute(0, 2, 4, 1, 3, 5).reshape(-1, h // dilation, w // dilation, c)
    return together.permute(0, 3, 1, 2)
