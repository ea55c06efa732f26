"""Distillation methods as lists of weighted terms, read from catalogue.toml. No torch: recipes are checked without."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import RecipeError
from pipeline.nearest import nearest

Widths = Literal["any", "equal", "adapted", "always_adapted"]
PLAIN = ("weight", "reduction", "tap", "ramp", "kind")
"""What may be set of every term, beside the options of its kind."""


@dataclass(frozen=True)
class TermKind:
    """A term of the catalogue: where it is written, what it needs, and what may be set of it."""

    module: str
    """Dotted module that holds the function of tensors and `build(term, setting) -> Bound`."""
    tap: str
    """Map that it reads unless a recipe names another."""
    fixed_tap: bool = False
    """Whether it reads that map alone."""
    reductions: tuple[str, ...] = ("mean",)
    """Its named normalisations, the default first."""
    options: Mapping[str, float | tuple[str, ...]] = field(default_factory=dict)
    """What else may be set: a number above 0, given by its default, or one of some words, the default first."""
    teacher: bool = True
    """Whether it compares with a teacher."""
    position: bool = False
    """Whether it reads the position network."""
    widths: Widths = "any"
    """Whether both maps must have equally many channels, and whether a 1x1 adapter sees to it (never on logits)."""


@dataclass(frozen=True)
class TermConfig:
    """One weighted term of a method."""

    kind: str
    """Name of the term in the catalogue."""
    weight: float
    """Factor on the term's value."""
    reduction: str
    """Named normalisation of the term."""
    tap: str
    """Map that the term reads on student and teacher."""
    ramp: tuple[float, float] | None = None
    """Shares of the training between which the weight rises linearly from 0; absent: all of it from the start."""
    options: Mapping[str, float | str] = field(default_factory=dict)
    """Values of the options that the kind has."""

    def number(self, option: str) -> float:
        """An option that is a number."""
        value = self.options[option]
        assert isinstance(value, float)
        return value

    def word(self, option: str) -> str:
        """An option that is one of some words."""
        value = self.options[option]
        assert isinstance(value, str)
        return value


def resolve(method: str, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, TermConfig]:
    """The terms of a method with a recipe's changes; a change with a weight may add a term, weight 0 drops one.

    A term may be used twice under a name of its own and `kind`, e.g. `channel_wise_features` of kind `channel_wise`.
    RecipeError for an unknown method, term, reduction or option, naming the nearest; for a change that nothing would
    read; and where no term is left.
    """
    if method not in METHODS:
        raise RecipeError(f"distill.method: no method {method!r}: {nearest(method, METHODS)}")
    terms = with_changes(METHODS[method], changes)
    kept = {name: term for name, term in terms.items() if term.weight > 0}
    if not kept:
        raise RecipeError(f"distill.terms: method {method!r} has no term of a weight above 0: nothing to train on")
    return kept


def with_changes(terms: Mapping[str, TermConfig], changes: Mapping[str, Mapping[str, Any]]) -> dict[str, TermConfig]:
    """`terms` with each change applied to the term of its name, or to the defaults of a new one."""
    changed_terms = {
        name: changed(name, terms[name] if name in terms else added(name, change), change)
        for name, change in changes.items()
    }
    return {**terms, **changed_terms}


def added(name: str, change: Mapping[str, Any]) -> TermConfig:
    """The defaults of a term that the method has not."""
    where, kind = f"distill.terms.{name}", change.get("kind", name)
    if kind not in KINDS:
        place = f"{where}.kind" if "kind" in change else "distill.terms"
        raise RecipeError(f"{place}: no term {kind!r}: {nearest(kind, KINDS)}")
    if kind != name and (name in KINDS or not name.isidentifier()):
        raise RecipeError(f"{where}: a second {kind} needs a name of its own, of letters, digits and underscores")
    if "weight" not in change:
        raise RecipeError(f"{where}: the method has no such term: give it a weight to add it")
    entry = KINDS[kind]
    options = {
        option: default if isinstance(default, float) else default[0] for option, default in entry.options.items()
    }
    return TermConfig(kind, change["weight"], entry.reductions[0], entry.tap, options=options)


def changed(name: str, term: TermConfig, change: Mapping[str, Any]) -> TermConfig:
    """`term` with `change`; RecipeError for an unknown reduction or option, and for what the term would not read."""
    kind, where = KINDS[term.kind], f"distill.terms.{name}"
    plain = {name: change[name] for name in PLAIN if name in change}
    options = {option: value for option, value in change.items() if option not in plain}
    if plain.get("kind", term.kind) != term.kind:
        raise RecipeError(f"{where}.kind: {name} is a {term.kind} term already: give the other one another name")
    if plain.get("reduction", term.reduction) not in kind.reductions:
        unknown = plain["reduction"]
        raise RecipeError(f"{where}.reduction: no {unknown!r}: {nearest(unknown, kind.reductions)}")
    if kind.fixed_tap and plain.get("tap", kind.tap) != kind.tap:
        raise RecipeError(f"{where}.tap: {term.kind} always reads {kind.tap!r}: leave the tap out")
    checked = {option: checked_option(f"{where}.{option}", option, value, kind) for option, value in options.items()}
    return replace(term, **plain, options={**term.options, **checked})


def checked_option(where: str, option: str, value: Any, kind: TermKind) -> float | str:
    """The value; RecipeError unless the kind has this option and the value is one of its words, or a number above 0."""
    if option not in kind.options:
        raise RecipeError(f"{where}: this term has no {option!r}: {nearest(option, (*PLAIN, *kind.options))}")
    known = kind.options[option]
    if isinstance(known, tuple):
        if value not in known:
            raise RecipeError(f"{where}: no {value!r}: {nearest(str(value), known)}")
        return str(value)
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise RecipeError(f"{where} = {value!r}: give a number above 0, e.g. {known:g}")
    return float(value)


def needs_teacher(terms: Mapping[str, TermConfig]) -> bool:
    """Whether any term compares with a teacher."""
    return any(KINDS[term.kind].teacher for term in terms.values())


def needs_position(terms: Mapping[str, TermConfig]) -> bool:
    """Whether any term reads the position network."""
    return any(KINDS[term.kind].position for term in terms.values())


def modules(terms: Mapping[str, TermConfig]) -> tuple[str, ...]:
    """Dotted modules of the terms."""
    return tuple(sorted({KINDS[term.kind].module for term in terms.values()}))


def choice(terms: Mapping[str, TermConfig]) -> dict[str, str]:
    """What a method's name stands for: each term in one line, all that decides a result and nothing else."""
    return {name: spelt(term) for name, term in terms.items()}


def spelt(term: TermConfig) -> str:
    """`1.0 x relative of stages.losses.inter_class at pyramid, label_grid public, widths any`."""
    kind = KINDS[term.kind]
    parts = [f"{term.weight!r} x {term.reduction} of {kind.module} at {term.tap}"]
    parts += [f"{option} {value}" for option, value in sorted(term.options.items())]
    parts += [f"ramp {term.ramp[0]!r} to {term.ramp[1]!r}"] if term.ramp else []
    return ", ".join([*parts, f"widths {kind.widths}"])


def read_kind(entry: Mapping[str, Any]) -> TermKind:
    """A term of the catalogue's table."""
    options = {
        name: tuple(value) if isinstance(value, list) else value for name, value in entry.get("options", {}).items()
    }
    lists = {"reductions": tuple(entry["reductions"])} if "reductions" in entry else {}
    return TermKind(**{**entry, **lists, "options": options})


def read_methods(table: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, TermConfig]]:
    """The catalogue's methods; each stands on the terms of its `base`, which comes before it."""
    methods: dict[str, Mapping[str, TermConfig]] = {}
    for name, entry in table.items():
        base = methods[entry["base"]] if "base" in entry else {}
        methods[name] = with_changes(base, entry.get("terms", {}))
    return methods


TABLE = tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8"))
KINDS: Mapping[str, TermKind] = {name: read_kind(entry) for name, entry in TABLE["terms"].items()}
METHODS: Mapping[str, Mapping[str, TermConfig]] = read_methods(TABLE["methods"])
"""Tables of data and not of code, so that a new term, a new method or another default weight leaves every artifact
current that does not use it; what a stage chose enters its key (`choice`)."""
