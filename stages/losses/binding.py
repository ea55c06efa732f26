"""What passes between the terms and whoever binds them to two networks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor, nn

from stages.nets.shapes import MapShape


class Seen(NamedTuple):
    """What a term reads in one step."""

    student: Tensor
    """N x C x h x w at the term's tap, on the teacher's grid, through the adapter unless that is given too."""
    teacher: Tensor | None
    """N x C' x h x w at the same tap; None for a term that reads no teacher."""
    labels_NHW: Tensor
    """uint8 class ids of the whole crop, 255 = ignored."""
    adapter: nn.Conv2d | None = None
    """The 1x1 convolution to the teacher's width, for a term that applies it itself."""

    @property
    def pair(self) -> tuple[Tensor, Tensor]:
        """Both maps of a term that compares."""
        assert self.teacher is not None
        return self.student, self.teacher


@dataclass(frozen=True)
class Setting:
    """What a term is bound to before the first step."""

    classes: int
    maps: MapShape | None = None
    """The teacher's map, on whose grid both are compared; None for a term that reads no teacher."""
    position_net: nn.Module | None = None


@dataclass(frozen=True)
class Bound:
    """A term with its settings."""

    value: Callable[[Seen], Tensor]
    """The unweighted scalar; where it is a module, it moves between devices with the terms."""
    adapts: bool = False
    """Whether the term applies its adapter itself."""
    critic: nn.Module | None = None
    """What learns against the student: (student's map, teacher's map) -> its own loss, trained after each step."""
    critic_lr: float = 0.0
    """Base learning rate of the critic."""
    over: Literal["images", "valid pixels", "nothing"] = "images"
    """What its value is a mean over: images or the cells of images, the labels' valid pixels, or nothing, a sum."""
    note: str = ""
    """What to say of it at the start, beside the fields of its config."""
