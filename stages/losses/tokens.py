"""Class tokens: the mean feature of each class in each image."""

import torch
from torch import Tensor
from torch.nn import functional as F

from stages.losses.maps import at_least_fp32, no_autocast


def labels_on_grid(labels_NHW: Tensor, grid_hw: tuple[int, ...], label_grid: str = "public") -> Tensor:
    """Labels N x H x W picked at the cells of a feature grid, N x h x w int64.

    `public` is torch's `nearest`, the reading of the public code; `aligned` picks the pixel on which a
    corner-aligned upsampling puts the cell.
    """
    assert label_grid in ("public", "aligned"), label_grid
    if label_grid == "public":
        return F.interpolate(labels_NHW[:, None].float(), size=grid_hw, mode="nearest")[:, 0].long()
    rows_h, columns_w = (
        torch.linspace(0, pixels - 1, cells, device=labels_NHW.device).round().long()
        for pixels, cells in zip(labels_NHW.shape[-2:], grid_hw, strict=True)
    )
    return labels_NHW[:, rows_h[:, None], columns_w].long()


def class_tokens(map_NDhw: Tensor, labels_Nhw: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Mean feature of each class in each image, v_i of IDD section 3.2, and whether the class occurs.

    Features N x D x h x w, labels N x h x w int64; pixels with an id outside 0..classes-1 (255 = ignore) belong to
    no class -> tokens N x K x D, zero where absent, and bool N x K.
    """
    ids_K1 = torch.arange(classes, device=labels_Nhw.device)[:, None]
    values_NDp = at_least_fp32(map_NDhw).flatten(2)
    members_NKp = (labels_Nhw.flatten(1)[:, None] == ids_K1).to(values_NDp.dtype)
    counts_NK = members_NKp.sum(dim=2)
    with no_autocast(values_NDp):
        sums_NKD = members_NKp @ values_NDp.transpose(1, 2)
    return sums_NKD / counts_NK.clamp(min=1)[..., None], counts_NK > 0
