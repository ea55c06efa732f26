"""Intra-class feature variation distillation: how far each pixel lies from its class should be as in the teacher."""

import torch
from torch import Tensor

from stages.losses.binding import Bound, Setting
from stages.losses.counts import normalised
from stages.losses.maps import at_least_fp32, no_autocast
from stages.losses.methods import TermConfig
from stages.losses.tokens import class_tokens, labels_on_grid

EPSILON = 1e-8
"""Smallest product of two norms by which a cosine is divided."""


def ifvd(
    student_NDhw: Tensor, teacher_NEhw: Tensor, labels_NHW: Tensor, classes: int, label_grid: str = "public"
) -> Tensor:
    """Mean squared difference of the two maps of similarity to the own class, over the N h w cells -> scalar.

    Maps N x D x h x w and N x E x h x w on one grid, labels N x H x W with 255 = ignore. A cell without a class counts
    as equal in both, as in the public code. So does, other than there, every cell of an image that shows fewer than
    two classes: it has no structure of classes to hand on, here as in `inter_class`. Source: Wang et al. 2020, eq. 3
    to 5.
    """
    n, _, h, w = student_NDhw.shape
    labels_Nhw = labels_on_grid(labels_NHW, (h, w), label_grid)
    similar_s, present_NK = similarity_to_class(student_NDhw, labels_Nhw, classes)
    similar_t, _ = similarity_to_class(teacher_NEhw.detach(), labels_Nhw, classes)
    counts_N1 = (present_NK.sum(dim=1) >= 2)[:, None]
    return normalised(((similar_s - similar_t).square() * counts_N1).sum(), n * h * w)


def similarity_to_class(map_NDhw: Tensor, labels_Nhw: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Cosine between each cell's feature and the token of its class, N x (h w), 0 where it has no class; and which
    classes occur, bool N x K."""
    tokens_NKD, present_NK = class_tokens(map_NDhw, labels_Nhw, classes)
    features_NDp = at_least_fp32(map_NDhw).flatten(2)
    with no_autocast(features_NDp):
        products_NKp = tokens_NKD @ features_NDp
    labels_N1p = labels_Nhw.flatten(1)[:, None]
    has_class_N1p = (labels_N1p >= 0) & (labels_N1p < classes)
    own_N1p = torch.where(has_class_N1p, labels_N1p, 0)
    # Dividing by both norms after the product spares a normalised copy of the map.
    norms_N1p = torch.linalg.vector_norm(features_NDp, dim=1, keepdim=True)
    token_norms_NK1 = torch.linalg.vector_norm(tokens_NKD, dim=2, keepdim=True)
    own_norms_N1p = token_norms_NK1.expand_as(products_NKp).gather(1, own_N1p)
    cosine_N1p = products_NKp.gather(1, own_N1p) / (norms_N1p * own_norms_N1p).clamp(min=EPSILON)
    return (cosine_N1p * has_class_N1p).squeeze(1), present_NK


def build(term: TermConfig, setting: Setting) -> Bound:
    """The term over the classes of the data, with its reading of labels."""
    label_grid = term.word("label_grid")
    return Bound(lambda seen: ifvd(*seen.pair, seen.labels_NHW, setting.classes, label_grid))
