"""Pair-wise distillation: the similarity between regions of the student's map should be the teacher's."""

from torch import Tensor
from torch.nn import functional as F

from stages.losses.binding import Bound, Setting
from stages.losses.counts import normalised
from stages.losses.maps import at_least_fp32, no_autocast
from stages.losses.methods import TermConfig

EPSILON = 1e-8


def pair_wise(student_NChw: Tensor, teacher_NDhw: Tensor) -> Tensor:
    """Squared difference of the two similarity matrices over pooled nodes, mean over nodes^2 and images -> scalar.

    Maps N x C x h x w and N x D x h x w on one grid; channel counts may differ. Source: Liu et al. 2019, section 3.1.
    """
    difference_Nkk = similarity(student_NChw) - similarity(teacher_NDhw.detach())
    n, nodes = difference_Nkk.shape[:2]
    return normalised(difference_Nkk.square().sum() / nodes**2, n)


def similarity(map_NChw: Tensor) -> Tensor:
    """Cosine between every two nodes, N x nodes x nodes; the norm is taken as a constant, as published.

    A node is the maximum over h//2 x w//2 cells, and what is left over at the far edges makes nodes of its own:
    3x3 nodes at 65x65, 2x2 at 64x64.
    """
    h, w = map_NChw.shape[-2:]
    kernel = (max(h // 2, 1), max(w // 2, 1))
    nodes_NCk = at_least_fp32(F.max_pool2d(map_NChw, kernel, kernel, ceil_mode=True)).flatten(2)
    nodes_NCk = nodes_NCk / (nodes_NCk.norm(dim=1, keepdim=True).detach() + EPSILON)
    with no_autocast(nodes_NCk):
        return nodes_NCk.transpose(1, 2) @ nodes_NCk


def build(_: TermConfig, __: Setting) -> Bound:
    """The term, which has nothing to set."""
    return Bound(lambda seen: pair_wise(*seen.pair))
