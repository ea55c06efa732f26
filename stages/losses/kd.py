"""Plain knowledge distillation: the student's softened class distribution at each cell should be the teacher's."""

from torch import Tensor
from torch.nn import functional as F

from stages.losses.binding import Bound, Setting
from stages.losses.counts import normalised
from stages.losses.maps import at_least_fp32
from stages.losses.methods import TermConfig


def kd(student_NChw: Tensor, teacher_NChw: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(teacher || student) of the softmax over classes, mean over the N h w cells, N x C x h x w -> scalar.

    Times temperature^2, so that its gradient keeps its size as the temperature rises. Source: Hinton et al. 2015,
    section 2. It differs from the pixel-wise term by the teacher's entropy, which has no gradient: 0 where both agree.
    """
    n, _, h, w = student_NChw.shape
    log_student = F.log_softmax(at_least_fp32(student_NChw) / temperature, dim=1)
    log_teacher = F.log_softmax(at_least_fp32(teacher_NChw).detach() / temperature, dim=1)
    divergence = F.kl_div(log_student, log_teacher, reduction="sum", log_target=True)
    return normalised(divergence * temperature**2, n * h * w)


def build(term: TermConfig, _: Setting) -> Bound:
    """The term at its temperature."""
    temperature = term.number("temperature")
    return Bound(lambda seen: kd(*seen.pair, temperature))
