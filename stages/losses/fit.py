"""Whether a term can compare a student's map with a teacher's, and through which adapter."""

from collections.abc import Mapping

from torch import nn

from pipeline.errors import TrainingError
from pipeline.nearest import nearest
from stages.losses.methods import KINDS, TermConfig
from stages.nets.shapes import MapShape

Shapes = Mapping[str, MapShape]

GRID_ROUNDING = 1
"""Cells by which two grids of one image may differ, e.g. 64x128 under 65x129."""
LOGITS = "logits"


def shape_at(name: str, tap: str, shapes: Shapes, owner: str) -> MapShape:
    """Shape of the owner's map at a tap; TrainingError with the nearest names where it has none."""
    if tap not in shapes:
        raise TrainingError(f"distill.terms.{name}.tap: the {owner} has no tap {tap!r}: {nearest(tap, shapes)}")
    return shapes[tap]


def check_grids(name: str, tap: str, student: MapShape, teacher: MapShape) -> None:
    """TrainingError where features differ by more than rounding; logits may have any grid and are resized."""
    if tap != LOGITS and max(abs(student.h - teacher.h), abs(student.w - teacher.w)) > GRID_ROUNDING:
        raise TrainingError(
            f"term {name}: the student's map is {student.grid}, the teacher's {teacher.grid}: "
            "choose taps of one output stride, or resize the student's with distill.student.tap_stride"
        )


def make_adapter(name: str, term: TermConfig, student: MapShape, teacher: MapShape) -> nn.Conv2d | None:
    """The 1x1 convolution from the student's width to the teacher's, where the term wants one.

    TrainingError for maps of unequal width that the term compares channel by channel without one. Logits never get
    one: their channels are the classes, and mapping one data set's onto another's would hide the mistake.
    """
    widths, wanted = KINDS[term.kind].widths, (student.channels, teacher.channels)
    if widths == "always_adapted" and term.tap != LOGITS:
        # Also at equal widths: what reads the teacher's channels knows nothing of the student's.
        return nn.Conv2d(*wanted, 1, bias=False)
    if widths == "any" or student.channels == teacher.channels:
        return None
    if term.tap == LOGITS:
        raise TrainingError(
            f"term {name}: the student's logits have {wanted[0]} classes, the teacher's {wanted[1]}: "
            "train both on one data set"
        )
    if widths == "equal":
        raise TrainingError(
            f"term {name}: the student's {term.tap!r} has {wanted[0]} channels, the teacher's {wanted[1]}, and "
            f"{term.kind} needs them equal: read the logits, or take channel_wise, which has an adapter"
        )
    return nn.Conv2d(*wanted, 1, bias=False)
