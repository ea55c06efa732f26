"""Channel-wise distillation: each channel's distribution over positions should be the teacher's."""

from torch import Tensor
from torch.nn import functional as F

from stages.losses.binding import Bound, Setting
from stages.losses.counts import normalised
from stages.losses.maps import at_least_fp32
from stages.losses.methods import TermConfig


def channel_wise(student_NChw: Tensor, teacher_NChw: Tensor, temperature: float = 4.0) -> Tensor:
    """KL(teacher || student) of the softmax over the h w positions of each channel, N x C x h x w -> scalar.

    Summed over positions, divided by N C, times temperature^2. Adding a constant to a channel changes nothing.
    Source: Shu et al. 2021, eq. 4 to 6.
    """
    n, c = student_NChw.shape[:2]
    log_student = F.log_softmax(at_least_fp32(student_NChw).flatten(2) / temperature, dim=2)
    log_teacher = F.log_softmax(at_least_fp32(teacher_NChw).detach().flatten(2) / temperature, dim=2)
    divergence = F.kl_div(log_student, log_teacher, reduction="sum", log_target=True)
    return normalised(divergence * temperature**2, n * c)


def build(term: TermConfig, _: Setting) -> Bound:
    """The term at its temperature."""
    temperature = term.number("temperature")
    return Bound(lambda seen: channel_wise(*seen.pair, temperature))
