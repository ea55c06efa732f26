"""Settings of a sweep as text: `section.key=TOML value`, the form that `--set` takes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import RecipeError

OPENING, CLOSING, QUOTES = "[{", "]}", "\"'"


def split_values(text: str) -> list[str]:
    """Parts between the commas that stand outside quotes and brackets: `[1, 2],"a,b",c` has three."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in QUOTES:
            quote = character
        depth += (not quote) * ((character in OPENING) - (character in CLOSING))
        if character == "," and not quote and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def settings_of(table: Mapping[str, Any]) -> tuple[str, ...]:
    """A nested table as settings, one a leaf; an empty table is a leaf, which replaces what the recipe has there."""
    return tuple(f"{dotted}={toml_text(value)}" for dotted, value in leaves(table))


def leaves(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and value of every leaf."""
    for name, value in table.items():
        dotted = f"{above}.{name}" if above else name
        if isinstance(value, Mapping) and value:
            yield from leaves(value, dotted)
        else:
            yield dotted, value


def toml_text(value: Any) -> str:
    """A value as TOML on one line; RecipeError for a date, which no config field takes."""
    if isinstance(value, Mapping):
        return (
            "{"
            + ", ".join(f"{json.dumps(name, ensure_ascii=False)} = {toml_text(below)}" for name, below in value.items())
            + "}"
        )
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(toml_text, value)) + "]"
    if not isinstance(value, str | bool | int | float):
        raise RecipeError(f"{value!r} is no value of a config field: use strings, numbers, booleans and lists")
    return json.dumps(value, ensure_ascii=False)


def label_of(field: str, value: Any) -> str:
    """How tables and cells call a value: a string by itself, anything else with the last part of its field."""
    return value if isinstance(value, str) else f"{field.rpartition('.')[2]}={toml_text(value)}"
