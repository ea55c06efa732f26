"""Distillation methods as lists of weighted terms. Imports no torch: recipes are checked without it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import Field

from pipeline.errors import RecipeError
from pipeline.nearest import nearest
from pipeline.stage import StageConfig


class TermConfig(StageConfig):
    """One term of the loss."""

    weight: float = Field(1.0, ge=0)
    """Factor on the term's value; 0 drops the term."""
    reduction: str = "mean"
    """Named normalisation of the term."""
    tap: str = "logits"
    """Map that the term reads on student and teacher."""
    temperature: float = Field(1.0, gt=0)
    """Softens distributions where the term has any."""


@dataclass(frozen=True)
class TermKind:
    """What a term needs beside the student's maps."""

    reductions: tuple[str, ...] = ("mean",)
    teacher: bool = True
    position: bool = False


KINDS: Mapping[str, TermKind] = MappingProxyType(
    {
        "supervised": TermKind(teacher=False),
        "auxiliary": TermKind(teacher=False),
        "pixel_wise": TermKind(("mean", "published")),
        "pair_wise": TermKind(),
        "channel_wise": TermKind(),
        "inter_class": TermKind(("relative", "mean", "paper")),
        "position": TermKind(("mean", "paper"), position=True),
    }
)

SUPERVISED = {
    "supervised": TermConfig(),
    "auxiliary": TermConfig(weight=0.4, tap="aux"),
}
METHODS: Mapping[str, Mapping[str, TermConfig]] = MappingProxyType(
    {
        "none": SUPERVISED,
        # Eq. 6 without the adversarial part of L_skd. On short schedules the published weights of L_skd and L_cw cost
        # more than they teach; these are the ones that held on the tuning split (docs/loss-weights.md).
        "idd": {
            **SUPERVISED,
            "pixel_wise": TermConfig(weight=1.0),
            "pair_wise": TermConfig(weight=0.5, tap="pyramid"),
            "channel_wise": TermConfig(weight=0.5, temperature=4.0),
            "inter_class": TermConfig(weight=1.0, tap="pyramid", reduction="relative"),
            "position": TermConfig(weight=1.0, tap="pyramid"),
        },
    }
)


def resolve(method: str, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, TermConfig]:
    """The terms of a method with a recipe's changes; a change may add a term, weight 0 drops one.

    RecipeError for an unknown method, term or reduction, naming the nearest.
    """
    if method not in METHODS:
        raise RecipeError(f"distill.method: no method {method!r}: {nearest(method, METHODS)}")
    terms = dict(METHODS[method])
    for name, change in changes.items():
        if name not in KINDS:
            raise RecipeError(f"distill.terms: no term {name!r}: {nearest(name, KINDS)}")
        base = terms.get(name) or METHODS["idd"][name].model_copy(update={"weight": 0.0})
        terms[name] = TermConfig.model_validate({**base.model_dump(), **change})
    for name, term in terms.items():
        if term.reduction not in KINDS[name].reductions:
            raise RecipeError(
                f"distill.terms.{name}.reduction: no {term.reduction!r}: "
                f"{nearest(term.reduction, KINDS[name].reductions)}"
            )
    return {name: term for name, term in terms.items() if term.weight > 0}


def needs_teacher(terms: Mapping[str, TermConfig]) -> bool:
    """Whether any term compares with a teacher."""
    return any(KINDS[name].teacher for name in terms)


def needs_position(terms: Mapping[str, TermConfig]) -> bool:
    """Whether any term reads the position network."""
    return any(KINDS[name].position for name in terms)
