"""Class tokens: the mean feature of each class in each image."""

import torch
from torch import Tensor
from torch.nn import functional as F

from stages.losses.supervised import IGNORE, at_least_fp32


def labels_on_grid(labels_NHW: Tensor, grid_hw: tuple[int, ...], aligned: bool = False) -> Tensor:
    """Labels picked at the cells of a feature grid, N x h x w int64.

    By default torch's `nearest`, the public code's reading; `aligned` picks the pixel on which a corner-aligned
    upsampling puts the cell.
    """
    h, w = grid_hw
    if not aligned:
        return F.interpolate(labels_NHW[:, None].float(), size=(h, w), mode="nearest")[:, 0].long()
    rows = torch.linspace(0, labels_NHW.shape[-2] - 1, h, device=labels_NHW.device).round().long()
    columns = torch.linspace(0, labels_NHW.shape[-1] - 1, w, device=labels_NHW.device).round().long()
    return labels_NHW[:, rows][:, :, columns].long()


def class_tokens(map_NDhw: Tensor, labels_Nhw: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Mean feature of each class in each image: tokens N x K x D, and N x K, whether the class occurs.

    Labels N x h x w int64, 255 = ignore. Absent classes have zero tokens. IDD section 3.2: v_i.
    """
    valid_Nhw = labels_Nhw != IGNORE
    one_hot_NhwK = F.one_hot(labels_Nhw.masked_fill(~valid_Nhw, classes), classes + 1)[..., :classes]
    values_NDhw = at_least_fp32(map_NDhw)
    members_NKp = one_hot_NhwK.flatten(1, 2).transpose(1, 2).to(values_NDhw.dtype)
    counts_NK = members_NKp.sum(dim=2)
    with torch.autocast(values_NDhw.device.type, enabled=False):
        sums_NKD = members_NKp @ values_NDhw.flatten(2).transpose(1, 2)
    return sums_NKD / counts_NK.clamp(min=1)[..., None], counts_NK > 0
