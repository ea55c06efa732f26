"""How far two vectors point apart, whatever their lengths."""

import torch
from torch import Tensor
from torch.nn import functional as F


def unit_distance(a_Nij: Tensor, b_Nij: Tensor) -> Tensor:
    """||a/||a|| - b/||b|| ||_2 along the last axis; torch's norm has gradient 0 where both are equal."""
    return torch.linalg.vector_norm(F.normalize(a_Nij, dim=-1) - F.normalize(b_Nij, dim=-1), dim=-1)
