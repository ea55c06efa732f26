"""The shipped schema holds what is written by hand here, and refuses what is no report."""

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

SCHEMA = json.loads(files("bench.report").joinpath("report.schema.json").read_text(encoding="utf-8"))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_whole_report_is_valid(report: dict[str, Any]) -> None:
    jsonschema.validate(report, SCHEMA)


@pytest.mark.parametrize("part", ["roofline", "pictures", "engines"])
def test_later_parts_may_be_absent(report: dict[str, Any], part: str) -> None:
    del report[part]
    jsonschema.validate(report, SCHEMA)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema_version",), 1),
        (("kind",), "board"),
        (("accuracy", "student", "test", "miou"), 77.0),
        (("latency", "rows", 0, "statistics"), None),
        (("latency", "rows", 5, "why"), ""),
        (("provenance", "files", "student.fp32.labels.onnx"), "abc"),
        (("pictures", "items", 0, "picture"), "https://example.org/a.png"),
    ],
)
def test_wrong_values_are_refused(report: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    *parents, last = path
    part: Any = report
    for key in parents:
        part = part[key]
    part[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(report, SCHEMA)
