"""Inter-class distance distillation (IDD section 3.2): classes should lie as far apart as in the teacher."""

import torch
from torch import Tensor

from stages.losses.binding import Bound, Setting
from stages.losses.counts import normalised
from stages.losses.edges import distances, mean_edge
from stages.losses.methods import TermConfig
from stages.losses.tokens import class_tokens, labels_on_grid


def inter_class(
    student_NDhw: Tensor,
    teacher_NEhw: Tensor,
    labels_NHW: Tensor,
    classes: int,
    reduction: str = "relative",
    label_grid: str = "public",
) -> Tensor:
    """Squared difference of the two inter-class distance graphs, mean over images -> scalar.

    Maps N x D x h x w and N x E x h x w on one grid, labels N x H x W with 255 = ignore. `paper` is eq. 3 as printed,
    half the sum over ordered pairs of present classes; `mean` the mean over those pairs; `relative` divides each
    graph by its mean edge first. An image with fewer than two classes counts as 0.
    """
    assert reduction in ("paper", "mean", "relative"), reduction
    labels_Nhw = labels_on_grid(labels_NHW, student_NDhw.shape[-2:], label_grid)
    tokens_NKD, present_NK = class_tokens(student_NDhw, labels_Nhw, classes)
    tokens_NKE, _ = class_tokens(teacher_NEhw.detach(), labels_Nhw, classes)
    other_KK = ~torch.eye(classes, dtype=torch.bool, device=present_NK.device)
    pairs_NKK = present_NK[:, :, None] & present_NK[:, None, :] & other_KK
    count_N = pairs_NKK.sum(dim=(1, 2)).clamp(min=1)
    edges_s, edges_t = distances(tokens_NKD, pairs_NKK), distances(tokens_NKE, pairs_NKK)
    if reduction == "relative":
        edges_s, edges_t = (e / mean_edge(e, count_N) for e in (edges_s, edges_t))
    sums_N = (edges_t - edges_s).square().sum(dim=(1, 2))
    per_image_N = sums_N / 2 if reduction == "paper" else sums_N / count_N
    return normalised(per_image_N.sum(), len(per_image_N))


def build(term: TermConfig, setting: Setting) -> Bound:
    """The term over the classes of the data, under its reduction and its reading of labels."""
    label_grid = term.word("label_grid")
    return Bound(lambda seen: inter_class(*seen.pair, seen.labels_NHW, setting.classes, term.reduction, label_grid))
