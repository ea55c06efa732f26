"""Distillation methods as lists of weighted terms. Imports no torch: recipes are checked without it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field

from pipeline.errors import RecipeError
from pipeline.nearest import nearest
from pipeline.stage import StageConfig


class TermConfig(StageConfig):
    """One term of the loss."""

    weight: float = Field(default=1.0, ge=0)
    """Factor on the term's value; 0 drops the term."""
    reduction: str = "mean"
    """Named normalisation of the term."""
    tap: str = "logits"
    """Map that the term reads on student and teacher."""
    temperature: float = Field(default=1.0, gt=0)
    """Softens distributions where the term has any."""
    label_grid: Literal["public", "aligned"] = "public"
    """Which label a cell gets where the term needs one: the public code's pick, or the corner-aligned one."""


@dataclass(frozen=True)
class TermKind:
    """What a term needs beside the student's maps, and what may be set of it."""

    reductions: tuple[str, ...] = ("mean",)
    options: tuple[str, ...] = ()
    """Fields of TermConfig, beside weight, reduction and tap, that the term reads."""
    fixed_tap: bool = False
    teacher: bool = True
    position: bool = False


KINDS: Mapping[str, TermKind] = MappingProxyType(
    {
        "supervised": TermKind(fixed_tap=True, teacher=False),
        "auxiliary": TermKind(fixed_tap=True, teacher=False),
        "pixel_wise": TermKind(("mean", "published"), options=("temperature",)),
        "pair_wise": TermKind(),
        "channel_wise": TermKind(options=("temperature",)),
        "inter_class": TermKind(("relative", "mean", "paper"), options=("label_grid",)),
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
        # Eq. 6 without the adversarial part of L_skd. The published weight of the pixel-wise term, 10, stands on a sum
        # over the whole batch divided by h w alone: 10 N in `mean`, 80 at batch 8. That and the published 3 of
        # L_cw cost a student on a short schedule more than they teach, so both start far lower here.
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
    """The terms of a method with a recipe's changes; a change with a weight may add a term, weight 0 drops one.

    RecipeError for an unknown method, term or reduction, naming the nearest; for a change that nothing would read;
    and where no term is left.
    """
    if method not in METHODS:
        raise RecipeError(f"distill.method: no method {method!r}: {nearest(method, METHODS)}")
    terms = dict(METHODS[method])
    for name, change in changes.items():
        if name not in KINDS:
            raise RecipeError(f"distill.terms: no term {name!r}: {nearest(name, KINDS)}")
        if name not in terms and "weight" not in change:
            raise RecipeError(f"distill.terms.{name}: method {method!r} has no such term: give it a weight to add it")
        terms[name] = changed(name, terms.get(name) or METHODS["idd"][name], change)
    kept = {name: term for name, term in terms.items() if term.weight > 0}
    if not kept:
        raise RecipeError(f"distill.terms: every term of method {method!r} has weight 0: nothing is left to train on")
    return kept


def changed(name: str, term: TermConfig, change: Mapping[str, Any]) -> TermConfig:
    """`term` with `change`; RecipeError for an unknown reduction or a field that the term does not read."""
    kind, where = KINDS[name], f"distill.terms.{name}"
    for option in ("temperature", "label_grid"):
        if option in change and option not in kind.options:
            raise RecipeError(f"{where}.{option}: {name} has none: leave it out")
    term = TermConfig.model_validate({**term.model_dump(), **change})
    if term.reduction not in kind.reductions:
        raise RecipeError(f"{where}.reduction: no {term.reduction!r}: {nearest(term.reduction, kind.reductions)}")
    if kind.fixed_tap and term.tap != METHODS["idd"][name].tap:
        raise RecipeError(f"{where}.tap: {name} always reads {METHODS['idd'][name].tap!r}: leave the tap out")
    return term


def needs_teacher(terms: Mapping[str, TermConfig]) -> bool:
    """Whether any term compares with a teacher."""
    return any(KINDS[name].teacher for name in terms)


def needs_position(terms: Mapping[str, TermConfig]) -> bool:
    """Whether any term reads the position network."""
    return any(KINDS[name].position for name in terms)
