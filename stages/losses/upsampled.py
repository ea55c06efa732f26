"""Cross-entropy on upsampled logits without ever holding the upsampled logits of a batch.

As torch composes it, each of upsampling, log-softmax and their gradients is a map N x C x H x W in memory. Here a
block of image rows is upsampled, compared and turned into its share of the gradient while it lies in the cache; value
and gradient are the same.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from stages.losses.maps import no_autocast

IGNORE = 255
BLOCK_VALUES = 1 << 18
"""Upsampled logits that a CPU holds at a time: 1 MiB in float32. A GPU takes an image at a time."""


def upsampled_cross_entropy(logits_NChw: Tensor, labels_NHW: Tensor) -> Tensor:
    """Sum over valid pixels of the cross-entropy of bilinearly upsampled logits (corners aligned) -> scalar.

    Logits N x C x h x w in float32 or float64, labels N x H x W integer, 255 = ignore.
    """
    if logits_NChw.shape[-2:] == labels_NHW.shape[-2:]:
        return F.cross_entropy(logits_NChw, labels_NHW.long(), ignore_index=IGNORE, reduction="sum")
    with no_autocast(logits_NChw):
        total: Tensor = _BlockwiseCrossEntropy.apply(logits_NChw, labels_NHW)
    return total


class _BlockwiseCrossEntropy(torch.autograd.Function):
    """Computes the gradient along with the value, since both need the same softmax."""

    @staticmethod
    def forward(ctx: Any, logits_NChw: Tensor, labels_NHW: Tensor) -> Tensor:
        total = logits_NChw.new_zeros(())
        gradient_NhCw = torch.empty_like(logits_NChw.transpose(1, 2), memory_format=torch.contiguous_format)
        for logits_Chw, labels_HW, gradient_hCw in zip(logits_NChw, labels_NHW, gradient_NhCw, strict=True):
            total += _image(logits_Chw, labels_HW, gradient_hCw)
        ctx.save_for_backward(gradient_NhCw.transpose(1, 2))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (gradient_NChw,) = ctx.saved_tensors
        return gradient_NChw * grad, None


def _image(logits_Chw: Tensor, labels_HW: Tensor, gradient_hCw: Tensor) -> Tensor:
    """Sum of one image's cross-entropy; writes its gradient with respect to the logits."""
    (c, h, w), (height, width) = logits_Chw.shape, labels_HW.shape
    like = logits_Chw.dtype, logits_Chw.device
    to_columns_Ww = interpolation(w, width, *like)
    wide = (logits_Chw.transpose(0, 1).reshape(h * c, w) @ to_columns_Ww.T).view(h, c * width)
    gradient_wide = torch.zeros_like(wide)
    total = logits_Chw.new_zeros(())
    rows = max(1, BLOCK_VALUES // (c * width)) if logits_Chw.is_cpu else height
    for block in blocks(h, height, rows, *like):
        upsampled_rCW = (block.matrix_rk @ wide[block.cells]).view(-1, c, width)
        loss, gradient_rCW = _block(upsampled_rCW, labels_HW[block.rows].long())
        total += loss
        gradient_wide[block.cells].addmm_(block.matrix_rk.T, gradient_rCW.view(-1, c * width))
    torch.mm(gradient_wide.view(h * c, width), to_columns_Ww, out=gradient_hCw.view(h * c, w))
    return total


def _block(logits_rCW: Tensor, labels_rW: Tensor) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy of some rows of pixels, and its gradient, softmax - one-hot, in the log-softmax's memory."""
    valid_r1W = (labels_rW != IGNORE)[:, None]
    own_r1W = labels_rW[:, None] * valid_r1W
    log_softmax_rCW = F.log_softmax(logits_rCW, dim=1)
    picked_r1W = log_softmax_rCW.gather(1, own_r1W)
    loss = -(picked_r1W * valid_r1W).sum()
    gradient_rCW = log_softmax_rCW.exp_()
    gradient_rCW.scatter_add_(1, own_r1W, torch.full_like(picked_r1W, -1))
    return loss, gradient_rCW.mul_(valid_r1W)


@dataclass(frozen=True)
class Block:
    """Some rows of pixels, and the few rows of cells that they are interpolated from."""

    rows: slice
    cells: slice
    matrix_rk: Tensor


@lru_cache(maxsize=64)
def blocks(cells: int, pixels: int, rows: int, dtype: torch.dtype, device: torch.device) -> tuple[Block, ...]:
    """`interpolation`, cut into blocks of so many rows without the cells that are zero in all of them."""
    whole_Hh = interpolation(cells, pixels, dtype, torch.device("cpu"))
    found = []
    for start in range(0, pixels, rows):
        part_rh = whole_Hh[start : start + rows]
        read = part_rh.any(dim=0).nonzero()
        near = slice(int(read[0]), int(read[-1]) + 1)
        found.append(Block(slice(start, start + rows), near, part_rh[:, near].contiguous().to(device)))
    return tuple(found)


@lru_cache(maxsize=64)
def interpolation(cells: int, pixels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Matrix `pixels` x `cells` of linear interpolation, the first and last cell on the first and last pixel."""
    with torch.inference_mode(False):
        identity = torch.eye(cells, dtype=torch.float64)[None]
        matrix = F.interpolate(identity, size=pixels, mode="linear", align_corners=True)[0]
        return matrix.T.to(dtype=dtype, device=device)
