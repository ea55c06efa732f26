"""Position information distillation, IDD section 3.3: position should be as readable in the student as in the teacher."""

from typing import Literal

import torch
from torch import Tensor

PositionReduction = Literal["paper", "mean"]
EPSILON = 1e-12


def position(student_N2hw: Tensor, teacher_N2hw: Tensor, reduction: PositionReduction = "mean") -> Tensor:
    """Distance of the two position masks, each row of HOR and each column of VER a unit vector -> scalar.

    Masks N x 2 x h x w in [0, 1], channel 0 HOR (0 left, 1 right), channel 1 VER (0 top, 1 bottom), eq. 4 and 5.
    `paper` sums over the rows and the columns, `mean` averages over them. Eq. 5 as printed compares columns of HOR,
    which are constant vectors and say nothing once normalised; rows of HOR and columns of VER are meant.
    """
    rows_Nh = unit_distance(student_N2hw[:, 0], teacher_N2hw[:, 0].detach())
    columns_Nw = unit_distance(
        student_N2hw[:, 1].transpose(1, 2), teacher_N2hw[:, 1].detach().transpose(1, 2)
    )
    if reduction == "paper":
        return 0.5 * rows_Nh.sum(dim=1).mean() + 0.5 * columns_Nw.sum(dim=1).mean()
    return 0.5 * rows_Nh.mean() + 0.5 * columns_Nw.mean()


def unit_distance(student_Nij: Tensor, teacher_Nij: Tensor) -> Tensor:
    """||s/||s|| - t/||t||||_2 along the last axis; the gradient is 0, not infinite, where both are equal."""
    difference = unit(student_Nij) - unit(teacher_Nij)
    squares = difference.square().sum(dim=-1)
    safe = squares > EPSILON
    return torch.where(safe, squares, 1.0).sqrt() * safe


def unit(vectors: Tensor) -> Tensor:
    """Vectors along the last axis divided by their length."""
    return torch.nn.functional.normalize(vectors.float() if vectors.itemsize < 4 else vectors, dim=-1)
