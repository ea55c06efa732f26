"""Edges of the inter-class distance graph: how far the classes of an image lie apart."""

import torch
from torch import Tensor

from stages.losses.maps import no_autocast


def distances(tokens_NKD: Tensor, pairs_NKK: Tensor) -> Tensor:
    """Euclidean distance of every pair of tokens, eq. 2, and 0 outside `pairs`: N x K x K."""
    with no_autocast(tokens_NKD):
        # Gives gradient 0 at distance 0, where a square root's is infinite. The mode by matrix products, which
        # torch would choose for many classes, cancels digits between close tokens.
        edges_NKK = torch.cdist(tokens_NKD, tokens_NKD, compute_mode="donot_use_mm_for_euclid_dist")
    return edges_NKK * pairs_NKK


def mean_edge(edges_NKK: Tensor, count_N: Tensor) -> Tensor:
    """Mean length of an image's edges, N x 1 x 1; 1 where there is none."""
    mean_N = edges_NKK.sum(dim=(1, 2)) / count_N
    return torch.where(mean_N > 0, mean_N, 1.0)[:, None, None]
