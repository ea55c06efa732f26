"""Position distillation, IDD section 3.3: position should be as readable in the student as in the teacher."""

import torch
from torch import Tensor, nn

from pipeline.errors import TrainingError
from stages.losses.binding import Bound, Seen, Setting
from stages.losses.counts import normalised
from stages.losses.maps import at_least_fp32
from stages.losses.methods import TermConfig
from stages.losses.unit_distance import unit_distance


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
    n, h = rows_Nh.shape
    if reduction == "paper":
        return normalised(0.5 * rows_Nh.sum() + 0.5 * columns_Nw.sum(), n)
    return normalised(0.5 * rows_Nh.sum() / h + 0.5 * columns_Nw.sum() / columns_Nw.shape[1], n)


class SharedReadout(nn.Module):
    """The position term over the two maps that one frozen network reads, the student's through the adapter."""

    def __init__(self, net: nn.Module, reduction: str) -> None:
        super().__init__()
        self.net = net.eval().requires_grad_(False)
        self.reduction = reduction

    def forward(self, seen: Seen) -> Tensor:
        """Reads both maps with the same weights; nothing is recorded of the teacher's."""
        student, teacher = seen.pair
        with torch.no_grad():
            teacher_N2hw = self.net(teacher)
        return position(self.net(student, seen.adapter), teacher_N2hw, self.reduction)


def build(term: TermConfig, setting: Setting) -> Bound:
    """The term with the teacher's position network; TrainingError where there is none, or one of another width."""
    net, teacher = setting.position_net, setting.maps
    assert teacher is not None
    if net is None:
        raise TrainingError("term position needs a position network: run stage position first")
    if net.channels != teacher.channels:
        raise TrainingError(
            f"term position: the position network reads {net.channels} channels, the teacher's tap {term.tap!r} has "
            f"{teacher.channels}: give position.tap and distill.terms.position.tap one name"
        )
    return Bound(SharedReadout(net, term.reduction), adapts=True)
