"""Settings as text: what `--axis` splits, what a file's tables become, and that both mean the same to a recipe."""

import pytest

from pipeline.errors import RecipeError
from pipeline.recipe import parse_value
from pipeline.sweep.values import label_of, settings_of, split_values, toml_text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("none,idd", ["none", "idd"]),
        ("0.5, 1", ["0.5", "1"]),
        ("[64, 96],[96, 192]", ["[64, 96]", "[96, 192]"]),
        ('"a,b",c', ['"a,b"', "c"]),
        ("'a,]',[1]", ["'a,]'", "[1]"]),
        ("{ width = 0.5, deep = [1, 2] },{}", ["{ width = 0.5, deep = [1, 2] }", "{}"]),
        ("none,", ["none", ""]),
    ],
)
def test_commas_in_quotes_and_brackets_belong_to_one_value(text: str, parts: list[str]) -> None:
    assert split_values(text) == parts


@pytest.mark.parametrize(
    "value", ["idd", 'a "quoted" ü', True, 3, 1e-05, 0.03, [64, 96], ["val", "test"], {"width": 0.5, "deep": [1]}, {}]
)
def test_a_value_survives_as_toml(value: object) -> None:
    assert parse_value(toml_text(value)) == value
    assert type(parse_value(toml_text(value))) is type(value)


def test_tables_become_one_setting_a_leaf_and_an_empty_table_is_a_leaf() -> None:
    table = {"distill": {"method": "idd", "terms": {}, "student": {"args": {"width": 0.5}}}, "teacher": {"seed": 1}}
    assert settings_of(table) == (
        'distill.method="idd"',
        "distill.terms={}",
        "distill.student.args.width=0.5",
        "teacher.seed=1",
    )


def test_a_value_that_no_field_takes() -> None:
    with pytest.raises(RecipeError, match="no value of a config field"):
        toml_text(None)


def test_labels_are_strings_themselves_and_other_values_with_their_field() -> None:
    assert label_of("distill.method", "idd") == "idd"
    assert label_of("distill.lr", 0.02) == "lr=0.02"
    assert label_of("distill.crop_px", [64, 96]) == "crop_px=[64, 96]"
