"""A recipe: the whole configuration of a run, read from TOML, checked, frozen."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.errors import RecipeError
from pipeline.graph import STAGES
from pipeline.nearest import nearest
from pipeline.stage import StageConfig

FOLDER = Path(__file__).parent / "recipes"
SECTIONS = tuple(dict.fromkeys(stage.kind for stage in STAGES))


@dataclass(frozen=True)
class Recipe:
    """A name and one checked config per stage."""

    name: str
    configs: Mapping[str, StageConfig]


def shipped() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def headline(path: Path) -> str:
    """First comment line of a recipe: what it does."""
    return path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")


def load(name_or_path: str, settings: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe or a TOML file, apply `section.key=value` settings, check every key."""
    path = find(name_or_path, shipped(), "recipe")
    table = read_table(path)
    for setting in settings:
        apply_setting(table, setting)
    return Recipe(path.stem, check(table, path.stem))


def find(name_or_path: str, known: Mapping[str, Path], what: str) -> Path:
    """The file of a name in `known`, or of a path that ends in .toml; RecipeError where there is no such `what`."""
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        if not path.is_file():
            raise RecipeError(f"no {what} file {name_or_path}")
        return path
    if name_or_path not in known:
        raise RecipeError(f"no {what} {name_or_path!r}: {nearest(name_or_path, known)}")
    return known[name_or_path]


def read_table(path: Path) -> dict[str, Any]:
    """What a TOML file holds; RecipeError for one that is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from error


def apply_setting(table: dict[str, Any], setting: str) -> None:
    """Put one `a.b=value` into the table; the value is TOML, or a plain string where it is not."""
    dotted, equals, text = setting.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys) or len(keys) < 2:
        raise RecipeError(f"--set {setting}: write it as section.key=value, e.g. teacher.iterations=1000")
    value = parse_value(text)
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise RecipeError(f"--set {setting}: {key} is a value, not a section")
    table[keys[-1]] = value


def parse_value(text: str) -> Any:
    """A TOML value, or the text itself where it is none."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def check(table: Mapping[str, Any], recipe: str) -> dict[str, StageConfig]:
    """One validated config per stage; an unknown section or key is an error that offers the nearest."""
    sections = split_sections(table, recipe)
    configs = {}
    for stage in STAGES:
        model = stage.load().Config
        values = {**sections.get(stage.kind, {}), **stage.overrides}
        try:
            configs[stage.name] = model.model_validate(values)
        except ValidationError as error:
            raise RecipeError(f"recipe {recipe}: {explain_invalid(error, stage.kind, model)}") from error
    return configs


def split_sections(table: Mapping[str, Any], recipe: str) -> dict[str, Mapping[str, Any]]:
    """The table of each section, `[export.onnx]` being one section of its own."""
    sections: dict[str, Mapping[str, Any]] = {}
    for name, value in table.items():
        if not isinstance(value, Mapping):
            raise RecipeError(
                f"recipe {recipe}: {name} = {value!r} stands outside a section: {nearest(name, SECTIONS)}"
            )
        nested = {s for s in SECTIONS if s.startswith(name + ".")}
        found = {f"{name}.{key}": below for key, below in value.items()} if nested else {name: value}
        for section, below in found.items():
            if section not in SECTIONS or not isinstance(below, Mapping):
                raise RecipeError(f"recipe {recipe}: unknown section {section!r}: {nearest(section, SECTIONS)}")
            sections[section] = below
    return sections


def explain_invalid(error: ValidationError, section: str, model: type[BaseModel]) -> str:
    """One line for the first fault that pydantic found."""
    first = error.errors(include_url=False)[0]
    location = list(known_parts(model, first["loc"]))
    where = ".".join([section, *location])
    if first["type"] == "extra_forbidden":
        known = model_at(model, location[:-1]).model_fields
        return f"unknown key {where}: {nearest(location[-1], known)}"
    message = first["msg"].removeprefix("Value error, ")
    # A fault between two keys of a section is told by its words alone.
    return f"{where}: {message}" if isinstance(first["input"], Mapping) else f"{where} = {first['input']!r}: {message}"


def known_parts(model: type[BaseModel], location: Sequence[str | int]) -> Iterator[str]:
    """A fault's location without the names that pydantic gives to the branches of a union."""
    for depth, part in enumerate(map(str, location)):
        if depth == 0 or part.isidentifier() or part.isdigit():
            yield part


def model_at(model: type[BaseModel], location: Sequence[str]) -> type[BaseModel]:
    """The nested model that stands at a location of a config."""
    for name in location:
        field = model.model_fields.get(name)
        if field is None:
            continue
        parts = (field.annotation, *getattr(field.annotation, "__args__", ()))
        model = next((p for p in parts if isinstance(p, type) and issubclass(p, BaseModel)), model)
    return model
