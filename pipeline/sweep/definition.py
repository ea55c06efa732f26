"""What a sweep is: a recipe, axes of settings that multiply, seeds; read from a TOML file or a command line.

[sweep]
recipe = "quickstart"
seeds = 2                          # or a list of seeds
baseline = "none"

[sweep.settings]                   # for every cell
distill.iterations = 240

[[sweep.axes]]                     # one field, its values
field = "distill.method"
values = ["none", "idd"]

[[sweep.axes]]                     # or bundles of settings under a label
name = "student"
[sweep.axes.bundles.half]
distill.student.net = "pspnet_resnet18"
distill.student.args = { width = 0.5 }
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from pipeline import recipe as recipes
from pipeline.errors import RecipeError
from pipeline.stage import StageConfig
from pipeline.sweep.values import label_of, settings_of, split_values

FOLDER = recipes.FOLDER / "sweeps"
SEED_FIELD = "distill.seed"


class Axis(StageConfig):
    """One thing that varies: a config field with its values, or a name with bundles of settings."""

    field: str | None = None
    """Dotted config field, e.g. `distill.method`."""
    values: list[Any] = Field(default_factory=list)
    """Values of that field."""
    name: str | None = None
    """What the bundles are called together, e.g. `terms`."""
    bundles: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings as nested tables by label; an empty table replaces what the recipe has there."""

    @model_validator(mode="after")
    def one_form(self) -> "Axis":
        """ValueError unless it is one of the two forms, with at least one choice."""
        if (self.field is None) == (self.name is None):
            raise ValueError("an axis has either `field` and `values` or `name` and `bundles`")
        if bool(self.values) != (self.field is not None) or bool(self.bundles) != (self.name is not None):
            raise ValueError(f"axis {self.title}: give it values, or bundles, and not both")
        return self

    @property
    def title(self) -> str:
        """What a table's head calls the axis."""
        return self.field or self.name or ""

    def choices(self) -> dict[str, tuple[str, ...]]:
        """Settings by label, in order."""
        if self.field is None:
            return {label: settings_of(table) for label, table in self.bundles.items()}
        choices = {label_of(self.field, value): settings_of({self.field: value}) for value in self.values}
        if len(choices) < len(self.values):
            raise RecipeError(f"axis {self.field}: a value stands twice")
        return choices


class Definition(StageConfig):
    """A whole sweep."""

    recipe: str = "quickstart"
    """Shipped name or a .toml file."""
    settings: tuple[str, ...] = ()
    """Changes to the recipe for every cell, as `--set` takes them; nested tables in a file."""
    axes: tuple[Axis, ...] = ()
    """They multiply; the last one varies first."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """Each row is run once a seed; a number N in a file stands for 0 .. N-1."""
    seed_fields: tuple[str, ...] = (SEED_FIELD,)
    """Config fields that take the seed; all others keep the recipe's, so the teacher is shared."""
    until: Literal["distill", "export", "bench"] = "distill"
    """How far each cell goes."""
    baseline: str | None = None
    """Label with which the other rows of an axis are compared; absent: the first row."""
    equal_time: bool = False
    """Whether every cell trains for as long as the slowest row of its group does."""
    calibration_iterations: int = Field(41, ge=22)
    """Iterations of the run that measures a row's seconds per iteration."""

    @model_validator(mode="before")
    @classmethod
    def short_forms(cls, values: dict[str, Any]) -> dict[str, Any]:
        """`seeds = 3` means seeds 0, 1 and 2; a table of settings becomes their list."""
        seeds, settings = values.get("seeds", (0,)), values.get("settings", ())
        return {
            **values,
            "seeds": tuple(range(seeds)) if type(seeds) is int else seeds,
            "settings": settings_of(settings) if isinstance(settings, Mapping) else settings,
        }


def shipped() -> dict[str, Path]:
    """The sweep files that come with the package, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def load(name_or_path: str) -> Definition:
    """A shipped sweep or a TOML file; RecipeError for every mistake in it."""
    path = recipes.find(name_or_path, shipped(), "sweep")
    table = recipes.read_table(path)
    if set(table) != {"sweep"}:
        raise RecipeError(f"{path}: a sweep file has one section [sweep], not {', '.join(table) or 'none'}")
    return check(table["sweep"], str(path))


def check(values: Mapping[str, Any], where: str) -> Definition:
    """The definition of plain values; RecipeError in one line."""
    try:
        return Definition.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{where}: {recipes.explain_invalid(error, 'sweep', Definition)}") from error


def parse_axis(text: str) -> dict[str, Any]:
    """`distill.method=none,idd` as an axis: commas part the values, those in quotes and brackets belong to one."""
    field, equals, values = text.partition("=")
    parts = split_values(values)
    if not equals or not all(parts) or "." not in field:
        raise RecipeError(f"--axis {text}: write it as section.key=value,value, e.g. distill.method=none,idd")
    return {"field": field.strip(), "values": [recipes.parse_value(part) for part in parts]}


def default_name(definition: Definition) -> str:
    """Name of a sweep that was given none: its recipe and what varies."""
    parts = [axis.title.rpartition(".")[2] for axis in definition.axes] or ["seeds"]
    return "-".join([Path(definition.recipe).stem, *parts])
