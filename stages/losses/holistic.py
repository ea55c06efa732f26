"""Holistic distillation: a discriminator should not tell the student's logit maps from the teacher's.

WGAN-GP (Gulrajani et al. 2017) as Liu et al. 2019, section 3.1, use it. The student's step comes first, with the
discriminator held fixed; the discriminator's own step follows, on the maps of the same batch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from stages.distributed.collectives import drawn
from stages.losses.binding import Bound, Seen, Setting
from stages.losses.counts import normalised
from stages.losses.maps import at_least_fp32, no_autocast, resize
from stages.losses.methods import TermConfig
from stages.nets.discriminator import SMALLEST_PX, Discriminator

PUBLISHED_PX = 65
"""Side of the maps on which the discriminator was published: a 512 crop at 1/8."""


def holistic(student_scores_N: Tensor) -> Tensor:
    """What the student lowers: minus the mean score of its maps, N -> scalar."""
    return normalised(-student_scores_N.sum(), len(student_scores_N))


def wasserstein(student_scores_N: Tensor, teacher_scores_N: Tensor) -> Tensor:
    """What the discriminator lowers: mean score of the student's maps minus that of the teacher's -> scalar."""
    return normalised((student_scores_N - teacher_scores_N).sum(), len(student_scores_N))


def gradient_penalty(
    score: Callable[[Tensor], Tensor], student_NChw: Tensor, teacher_NChw: Tensor, share_N111: Tensor
) -> Tensor:
    """Mean of (||gradient of the score||_2 - 1)^2 on maps between the two, `share` of the teacher's -> scalar.

    Can itself be differentiated, with respect to the discriminator behind `score` and to the maps.
    """
    between_NChw = share_N111 * teacher_NChw + (1 - share_N111) * student_NChw
    if not between_NChw.requires_grad:
        between_NChw.requires_grad_()
    (gradient_NChw,) = torch.autograd.grad(score(between_NChw).sum(), between_NChw, create_graph=True)
    norms_N = torch.linalg.vector_norm(gradient_NChw.flatten(1), dim=1)
    return normalised((norms_N - 1).square().sum(), len(norms_N))


class Critic(nn.Module):
    """The discriminator with its own loss: (student's logits, teacher's logits) -> scalar."""

    def __init__(self, discriminator: Discriminator, penalty: float) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.penalty = penalty

    def forward(self, student_NChw: Tensor, teacher_NChw: Tensor) -> Tensor:
        """Wasserstein distance plus the weighted gradient penalty, in float32 whatever the autocast."""
        student_NChw, teacher_NChw = (readable(logits.detach()) for logits in (student_NChw, teacher_NChw))
        share_N111 = drawn(len(student_NChw), student_NChw.device)[:, None, None, None]
        # One power iteration serves the three passes.
        with no_autocast(student_NChw), nn.utils.parametrize.cached():
            distance = wasserstein(self.discriminator(student_NChw), self.discriminator(teacher_NChw))
            return distance + self.penalty * gradient_penalty(
                self.discriminator, student_NChw, teacher_NChw, share_N111
            )

    def student_side(self, seen: Seen) -> Tensor:
        """The student's term; the discriminator gets no gradient."""
        student_NChw = readable(seen.student)
        with no_autocast(student_NChw), held_fixed(self.discriminator):
            return holistic(self.discriminator(student_NChw))


@contextmanager
def held_fixed(module: nn.Module) -> Iterator[None]:
    """Keeps what is computed inside from asking for gradients of the module's parameters."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


def readable(logits_NChw: Tensor) -> Tensor:
    """Logits in float32, a side too short for the discriminator enlarged to the published one."""
    return resize(at_least_fp32(logits_NChw), readable_grid(*logits_NChw.shape[-2:]))


def readable_grid(h: int, w: int) -> tuple[int, int]:
    """The grid on which the discriminator reads maps of h x w."""
    return h if h >= SMALLEST_PX else PUBLISHED_PX, w if w >= SMALLEST_PX else PUBLISHED_PX


def build(term: TermConfig, setting: Setting) -> Bound:
    """The term with a new discriminator over the classes."""
    maps = setting.maps
    assert maps is not None
    critic = Critic(Discriminator(maps.channels), term.number("gradient_penalty"))
    h, w = readable_grid(maps.h, maps.w)
    note = "" if (h, w) == (maps.h, maps.w) else f"logits enlarged to {h}x{w} for the discriminator"
    return Bound(critic.student_side, critic=critic, critic_lr=term.number("discriminator_lr"), note=note)
