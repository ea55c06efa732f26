"""Position distillation, IDD section 3.3: position should be as readable in the student as in the teacher."""

import torch
from torch import Tensor
from torch.nn import functional as F

from stages.losses.maps import at_least_fp32


def position(student_N2hw: Tensor, teacher_N2hw: Tensor, reduction: str = "mean") -> Tensor:
    """Distance of the two position masks, each row of HOR and each column of VER a unit vector -> scalar.

    Masks N x 2 x h x w in [0, 1], channel 0 HOR (0 left, 1 right), channel 1 VER (0 top, 1 bottom), eq. 4 and 5.
    `paper` sums over the rows and the columns, `mean` averages over them. Eq. 5 as printed compares columns of HOR,
    which are constant vectors and say nothing once normalised; rows of HOR and columns of VER are meant.
    """
    assert reduction in ("mean", "paper"), reduction
    student_N2hw, teacher_N2hw = at_least_fp32(student_N2hw), at_least_fp32(teacher_N2hw).detach()
    rows_Nh = unit_distance(student_N2hw[:, 0], teacher_N2hw[:, 0])
    columns_Nw = unit_distance(student_N2hw[:, 1].mT, teacher_N2hw[:, 1].mT)
    if reduction == "paper":
        return 0.5 * rows_Nh.sum(dim=1).mean() + 0.5 * columns_Nw.sum(dim=1).mean()
    return 0.5 * rows_Nh.mean() + 0.5 * columns_Nw.mean()


def unit_distance(student_Nij: Tensor, teacher_Nij: Tensor) -> Tensor:
    """||s/||s|| - t/||t|| ||_2 along the last axis; torch's norm has gradient 0 where both are equal."""
    difference_Nij = F.normalize(student_Nij, dim=-1) - F.normalize(teacher_Nij, dim=-1)
    return torch.linalg.vector_norm(difference_Nij, dim=-1)
