"""Inter-class distance distillation, IDD section 3.2: the student's classes should lie as far apart as the teacher's."""

from typing import Literal

import torch
from torch import Tensor

from stages.losses.tokens import class_tokens, labels_on_grid

InterClassReduction = Literal["paper", "mean", "relative"]
EPSILON = 1e-12


def inter_class(
    student_NDhw: Tensor,
    teacher_NEhw: Tensor,
    labels_NHW: Tensor,
    classes: int,
    reduction: InterClassReduction = "relative",
    aligned: bool = False,
) -> Tensor:
    """Squared difference of the two inter-class distance graphs, mean over images -> scalar.

    Maps N x D x h x w and N x E x h x w on one grid, labels N x H x W with 255 = ignore. `paper` is eq. 3 as printed,
    half the sum over ordered pairs of present classes; `mean` the mean over those pairs; `relative` divides each
    graph by its mean edge first. An image with fewer than two classes counts as 0.
    """
    labels_Nhw = labels_on_grid(labels_NHW, student_NDhw.shape[-2:], aligned)
    tokens_NKD, present_NK = class_tokens(student_NDhw, labels_Nhw, classes)
    tokens_NKE, _ = class_tokens(teacher_NEhw.detach(), labels_Nhw, classes)
    pairs_NKK = present_NK[:, :, None] & present_NK[:, None, :]
    pairs_NKK = pairs_NKK & ~torch.eye(classes, dtype=torch.bool, device=pairs_NKK.device)
    edges_s, edges_t = distances(tokens_NKD, pairs_NKK), distances(tokens_NKE, pairs_NKK)
    count_N = pairs_NKK.sum(dim=(1, 2)).clamp(min=1)
    if reduction == "relative":
        edges_s, edges_t = (e / mean_edge(e, count_N) for e in (edges_s, edges_t))
    sums_N = (edges_t - edges_s).square().sum(dim=(1, 2))
    return (sums_N / 2 if reduction == "paper" else sums_N / count_N).mean()


def distances(tokens_NKD: Tensor, pairs_NKK: Tensor) -> Tensor:
    """Euclidean distance of every pair of tokens, eq. 2, and 0 outside `pairs`: N x K x K.

    The square root has no finite gradient at 0, so it is not taken of pairs that do not count nor of equal tokens.
    """
    with torch.autocast(tokens_NKD.device.type, enabled=False):
        squares_NKK = (tokens_NKD[:, :, None] - tokens_NKD[:, None, :]).square().sum(dim=3)
    safe = pairs_NKK & (squares_NKK > EPSILON)
    return torch.where(safe, squares_NKK, 1.0).sqrt() * safe


def mean_edge(edges_NKK: Tensor, count_N: Tensor) -> Tensor:
    """Mean length of an image's edges, N x 1 x 1; 1 where there is none."""
    mean_N = edges_NKK.sum(dim=(1, 2)) / count_N
    return torch.where(mean_N > 0, mean_N, 1.0)[:, None, None]
