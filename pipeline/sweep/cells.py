"""The rows and cells of a sweep: every combination of the axes, each under every seed, as a checked recipe."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from pipeline import recipe as recipes
from pipeline.errors import RecipeError
from pipeline.identity.keys import machine_settings
from pipeline.nearest import nearest
from pipeline.recipe import Recipe
from pipeline.sweep.definition import Definition

METHOD, TERMS = "distill.method", "distill.terms"


@dataclass(frozen=True)
class Row:
    """One combination of the axes' labels: a line of the table."""

    labels: tuple[str, ...]
    settings: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the table calls it."""
        return " ".join(self.labels) or "recipe"


@dataclass(frozen=True)
class Cell:
    """One row under one seed: a recipe of its own."""

    name: str
    """Name of its pointer file, after the sweep's name in a reference."""
    row: Row
    seed: int
    settings: tuple[str, ...]
    recipe: Recipe = field(compare=False)


def rows_of(definition: Definition) -> list[Row]:
    """Every combination, the last axis varying first."""
    combinations = product(*(axis.choices().items() for axis in definition.axes))
    return [
        Row(tuple(label for label, _ in parts), tuple(s for _, settings in parts for s in settings))
        for parts in combinations
    ]


def cells_of(definition: Definition, name: str, extra: Mapping[str, Sequence[str]]) -> list[Cell]:
    """The cells, row by row; `extra` gives further settings of a row by its name.

    RecipeError for a setting that its recipe does not take, and for names that cannot be told apart.
    """
    own = recipes.load(definition.recipe)
    cells = [
        cell_of(definition, name, own, row, seed, extra.get(row.name, ()))
        for row in rows_of(definition)
        for seed in definition.seeds
    ]
    names = [cell.name for cell in cells]
    for cell in cells:
        if names.count(cell.name) > 1:
            raise RecipeError(f"sweep {name}: two cells are called {cell.name}: give their rows other labels")
    return cells


def cell_of(definition: Definition, name: str, own: Recipe, row: Row, seed: int, extra: Sequence[str]) -> Cell:
    """One cell with its checked recipe."""
    varied = {setting.partition("=")[0] for setting in row.settings} & set(definition.seed_fields)
    if varied:
        raise RecipeError(f"sweep {name}: {varied.pop()} is an axis and takes the seed: leave one of them out")
    seeds = [f"{dotted}={seed}" for dotted in definition.seed_fields]
    settings = (*foreign_terms(own, row), *definition.settings, *row.settings, *seeds, *extra)
    cell = re.sub(r"[^\w.=+-]", "_", "-".join([*row.labels, f"seed{seed}"]))
    recipe = recipes.load(definition.recipe, settings)
    return Cell(cell, row, seed, settings, replace(recipe, name=f"{name}.{cell}"))


def foreign_terms(own: Recipe, row: Row) -> tuple[str, ...]:
    """Drops the recipe's changes to its method's terms where the row takes another method.

    They were written for one method; on another they would add terms to it, or not fit.
    """
    config = own.configs["distill"].model_dump()
    parted = (setting.partition("=") for setting in row.settings)
    methods = [recipes.parse_value(value) for dotted, _, value in parted if dotted == METHOD]
    changes_method = bool(methods) and methods[-1] != config["method"]
    return (f"{TERMS}={{}}",) if changes_method and config["terms"] else ()


def groups(definition: Definition, rows: Sequence[Row]) -> dict[Row, Row]:
    """The row with which each row is compared.

    Without `baseline` the first one of all; with it the one that has that label and equals the row on the other axes.
    """
    label = definition.baseline
    if label is None:
        return dict.fromkeys(rows, rows[0])
    places = [i for i, axis in enumerate(definition.axes) if label in axis.choices()]
    if len(places) != 1:
        known = [label for axis in definition.axes for label in axis.choices()]
        why = "names a value of several axes" if places else nearest(label, known)
        raise RecipeError(f"sweep: baseline {label!r}: {why}")
    (place,) = places
    by_labels = {row.labels: row for row in rows}
    return {row: by_labels[(*row.labels[:place], label, *row.labels[place + 1 :])] for row in rows}


def definition_identity(definition: Definition) -> dict[str, Any]:
    """What two sweeps of one name must share: all but the values, the seeds and settings of the machine."""
    machine = machine_settings(recipes.load(definition.recipe).configs)
    settings = [setting for setting in definition.settings if setting.partition("=")[0].strip() not in machine]
    plain = definition.model_dump(mode="json", exclude={"seeds", "baseline", "axes", "settings"})
    return {**plain, "axes": [axis.title for axis in definition.axes], "settings": settings}
