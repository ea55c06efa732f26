"""Scaled dot-product attention between the cells of maps, in operators that every runtime has.

Axes: N image, L querying cells, S cells that are read, D channels of keys, C channels of values. Maps become
lists of cells and back without a copy where they are channels_last.
"""

import torch
from torch import Tensor


def cells(map_NChw: Tensor) -> Tensor:
    """N x C x h x w to N x (h w) x C."""
    return map_NChw.flatten(2).transpose(1, 2)


def as_map(cells_NLC: Tensor, like: Tensor) -> Tensor:
    """N x (h w) x C to N x C x h x w, on the grid of `like`; channels_last."""
    n, _, channels = cells_NLC.shape
    return cells_NLC.reshape(n, *like.shape[-2:], channels).permute(0, 3, 1, 2)


def attend(queries_NLD: Tensor, keys_NSD: Tensor, values_NSC: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(D)) V: N x L x C, each row a mean of the values weighted by likeness of key and query."""
    # Scaled before the product: L x D is smaller than L x S.
    scores_NLS = (queries_NLD * queries_NLD.shape[-1] ** -0.5) @ keys_NSD.transpose(1, 2)
    return torch.softmax(scores_NLS, dim=-1).to(values_NSC.dtype) @ values_NSC
