"""Pixel-wise distillation: the student's class distribution at each cell should be the teacher's."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from stages.losses.binding import Bound, Setting
from stages.losses.counts import normalised, of_batch
from stages.losses.maps import at_least_fp32
from stages.losses.methods import TermConfig


def pixel_wise(student_NChw: Tensor, teacher_NChw: Tensor, reduction: str = "mean", temperature: float = 1.0) -> Tensor:
    """Soft cross-entropy between the class distributions of two logit maps N x C x h x w -> scalar.

    `mean` averages over all N h w cells; `published` divides by h w only, as the public code does, so that its
    weight grows with the batch. Times temperature^2. Source: Liu et al. 2019, section 3.1.
    """
    assert reduction in ("mean", "published"), reduction
    n, _, h, w = student_NChw.shape
    teacher = F.softmax(at_least_fp32(teacher_NChw).detach() / temperature, dim=1)
    log_student = F.log_softmax(at_least_fp32(student_NChw) / temperature, dim=1)
    total = -(teacher * log_student).sum() * temperature**2
    return of_batch(total) / (h * w) if reduction == "published" else normalised(total, n * h * w)


def build(term: TermConfig, _: Setting) -> Bound:
    """The term under its reduction, at its temperature."""
    temperature = term.number("temperature")
    over: Literal["images", "nothing"] = "nothing" if term.reduction == "published" else "images"
    return Bound(lambda seen: pixel_wise(*seen.pair, term.reduction, temperature), over=over)
