"""Pixel-wise distillation: the student's class distribution at each cell should be the teacher's."""

from torch import Tensor
from torch.nn import functional as F

from stages.losses.maps import at_least_fp32


def pixel_wise(student_NChw: Tensor, teacher_NChw: Tensor, reduction: str = "mean", temperature: float = 1.0) -> Tensor:
    """Soft cross-entropy between the class distributions of two logit maps N x C x h x w -> scalar.

    `mean` averages over all N h w cells; `published` divides by h w only, as the public code does, so that its
    weight grows with the batch. Times temperature^2. Source: Liu et al. 2019, section 3.1.
    """
    assert reduction in ("mean", "published"), reduction
    teacher = F.softmax(at_least_fp32(teacher_NChw).detach() / temperature, dim=1)
    log_student = F.log_softmax(at_least_fp32(student_NChw) / temperature, dim=1)
    mean = -(teacher * log_student).sum(dim=1).mean() * temperature**2
    return mean * student_NChw.shape[0] if reduction == "published" else mean
