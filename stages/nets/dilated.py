"""Dilated convolutions whose weight gradient is right and fast on a CPU.

oneDNN, as torch 2.15 has it, gets the weight gradient of a dilated convolution wrong in bf16 and
channels_last: for depthwise ones, and where a channel count is no multiple of 16, it holds NaN or is off by
half without a word. For depthwise ones it is 5 to 20 times slower than without dilation besides, in every
layout and dtype. A convolution dilated by d is d * d undilated ones, one for each phase of the grid, and
those are right and fast.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SAFE_CHANNELS = 16
"""oneDNN's own gradient is right, and faster, where both channel counts are multiples of this."""


class DilatedConv2d(nn.Conv2d):
    """Convolution of odd kernel and stride 1 that keeps the grid; parameters and values are those of nn.Conv2d.

    `groups` is 1 or, for a depthwise convolution, the number of channels.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        dilation: int,
        groups: int = 1,
        bias: bool = False,
        kernel: tuple[int, int] = (3, 3),
    ) -> None:
        assert groups in (1, channels) and kernel[0] % 2 == kernel[1] % 2 == 1
        padding = (kernel[0] // 2 * dilation, kernel[1] // 2 * dilation)
        super().__init__(channels, out_channels, kernel, 1, padding, dilation, groups, bias)
        self.by_phases = groups > 1 or channels % SAFE_CHANNELS > 0 or out_channels % SAFE_CHANNELS > 0

    def forward(self, x_NChw: Tensor) -> Tensor:
        """N x channels x h x w to N x out_channels x h x w."""
        if not (self.by_phases and self.training and x_NChw.is_cpu):
            return super().forward(x_NChw)
        weight, bias = self.weight, self.bias
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            x_NChw, weight = x_NChw.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        out: Tensor = _PhaseGradient.apply(x_NChw, weight, self.dilation[0], self.groups)
        return out if bias is None else out + bias.view(1, -1, 1, 1)


class _PhaseGradient(torch.autograd.Function):
    """conv2d whose weight gradient is summed over the phases of the grid."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int, groups: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation, ctx.groups = dilation, groups
        return F.conv2d(x, weight, None, 1, _padding(weight, dilation), dilation, groups)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, weight = ctx.saved_tensors
        dilation, groups = ctx.dilation, ctx.groups
        # At stride 1 on a kept grid the input gradient is the same convolution with the kernel turned round.
        turned = weight.flip(2, 3) if groups > 1 else weight.flip(2, 3).transpose(0, 1)
        grad_x = F.conv2d(grad, turned, None, 1, _padding(weight, dilation), dilation, groups)
        grad_weight = torch.ops.aten.convolution_backward(
            phases(grad, dilation), phases(x, dilation), weight,
            None, [1, 1], _padding(weight, 1), [1, 1], False, [0, 0], groups, [False, True, False],
        )[1]  # fmt: skip
        return grad_x, grad_weight, None, None


def _padding(weight: Tensor, dilation: int) -> list[int]:
    """Zeros on each side of the two axes that keep the grid."""
    return [size // 2 * dilation for size in weight.shape[2:]]


def phases(x_NChw: Tensor, dilation: int) -> Tensor:
    """Every `dilation`-th cell of a map as a map of its own, zeros filling up the last ones.

    N x C x h x w to (N d d) x C x ceil(h/d) x ceil(w/d).
    """
    h, w = x_NChw.shape[-2:]
    padded = F.pad(x_NChw, (0, -w % dilation, 0, -h % dilation)) if h % dilation or w % dilation else x_NChw
    n, c, h, w = padded.shape
    split = padded.permute(0, 2, 3, 1).reshape(n, h // dilation, dilation, w // dilation, dilation, c)
    together = split.permute(0, 2, 4, 1, 3, 5).reshape(-1, h // dilation, w // dilation, c)
    return together.permute(0, 3, 1, 2)
