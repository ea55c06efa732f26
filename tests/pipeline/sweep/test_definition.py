"""Sweep files and command lines: every shipped file is valid to its last cell, every mistake is one line."""

from pathlib import Path

import pytest

from pipeline.errors import RecipeError
from pipeline.plan import Planner
from pipeline.store.store import Store
from pipeline.sweep import definition as definitions
from pipeline.sweep.cells import cells_of, groups, rows_of
from pipeline.sweep.running import selection_of

TWO_AXES = """
[sweep]
recipe = "quickstart"
seeds = 2
baseline = "none"

[sweep.settings]
distill.iterations = 7

[[sweep.axes]]
name = "student"
[sweep.axes.bundles.quarter]
distill.student.args = { width = 0.25 }
[sweep.axes.bundles."half, deep"]
distill.student.net = "pspnet_resnet34"
distill.student.args = { width = 0.5 }

[[sweep.axes]]
field = "distill.method"
values = ["none", "idd"]
"""


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "two.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", definitions.shipped())
def test_shipped_sweeps_are_valid_and_say_what_they_do(name: str, tmp_path: Path) -> None:
    definition = definitions.load(name)
    text = definitions.shipped()[name].read_text()
    assert text.startswith("# ") and f"python -m pipeline sweep {name}" in text
    cells = cells_of(definition, name, {})
    assert len(cells) == len(rows_of(definition)) * len(definition.seeds) > 1
    assert groups(definition, rows_of(definition))
    for cell in cells:
        planner = Planner(cell.recipe, Store(tmp_path), {})
        selected = selection_of(planner, definition.until).selected
        assert "distill" in selected
        planner.check(selected - {"data"})


def test_axes_multiply_and_the_last_varies_first(tmp_path: Path) -> None:
    definition = definitions.load(written(tmp_path, TWO_AXES))
    names = [row.name for row in rows_of(definition)]
    assert names == ["quarter none", "quarter idd", "half, deep none", "half, deep idd"]
    cells = cells_of(definition, "two", {"quarter idd": ("distill.iterations=9",)})
    assert [c.name for c in cells][:3] == ["quarter-none-seed0", "quarter-none-seed1", "quarter-idd-seed0"]
    assert cells[4].name == "half__deep-none-seed0"
    distill = {cell.name: cell.recipe.configs["distill"] for cell in cells}
    assert distill["quarter-none-seed1"].seed == 1 and distill["quarter-none-seed1"].iterations == 7
    assert distill["quarter-idd-seed0"].iterations == 9
    assert distill["half__deep-idd-seed0"].student.net == "pspnet_resnet34"
    assert all(cell.recipe.configs["teacher"] == cells[0].recipe.configs["teacher"] for cell in cells)


def test_a_baseline_is_taken_on_its_own_axis(tmp_path: Path) -> None:
    definition = definitions.load(written(tmp_path, TWO_AXES))
    compared = {row.name: base.name for row, base in groups(definition, rows_of(definition)).items()}
    assert compared["half, deep idd"] == "half, deep none" and compared["quarter none"] == "quarter none"
    first = definition.model_copy(update={"baseline": None})
    assert {base.name for base in groups(first, rows_of(first)).values()} == {"quarter none"}


def test_command_line_axes_read_values_as_set_does() -> None:
    axis = definitions.parse_axis("distill.crop_px=[64, 96],[96, 192]")
    assert axis == {"field": "distill.crop_px", "values": [[64, 96], [96, 192]]}
    definition = definitions.check({"axes": [definitions.parse_axis("distill.lr=0.01,0.02")], "seeds": 3}, "sweep")
    assert definition.seeds == (0, 1, 2)
    assert definitions.default_name(definition) == "quickstart-lr"
    cells = cells_of(definition, "x", {})
    assert cells[-1].name == "lr=0.02-seed2" and cells[-1].recipe.configs["distill"].lr == 0.02


def test_other_methods_leave_out_what_a_recipe_changes_of_its_own(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('[distill]\nmethod = "idd"\nterms.position.tap = "backbone"\n')
    definition = definitions.check(
        {"recipe": str(recipe), "axes": [definitions.parse_axis("distill.method=none,idd")]}, "sweep"
    )
    none, idd = cells_of(definition, "x", {})
    assert none.recipe.configs["distill"].terms == {}
    assert idd.recipe.configs["distill"].terms["position"].tap == "backbone"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("[sweep]\n", "[sweep]\nseedz = 2\n"), "unknown key sweep.seedz: did you mean 'seeds'"),
        (('field = "distill.method"\n', ""), "an axis has either `field`"),
        (('values = ["none", "idd"]', "values = []"), "give it values"),
        (('"none", "idd"', '"none", "none"'), "a value stands twice"),
        (('baseline = "none"', 'baseline = "nine"'), "did you mean 'none'"),
        (('"distill.method"', '"distill.metod"'), "unknown key distill.metod: did you mean 'method'"),
        (('recipe = "quickstart"', 'recipe = "quickstrat"'), "did you mean 'quickstart'"),
        (("seeds = 2", "seeds = 0"), "sweep.seeds"),
        (("[sweep.settings]", "[other]\n[sweep.settings]"), "one section [sweep]"),
        (
            ('field = "distill.method"\nvalues = ["none", "idd"]', 'field = "distill.seed"\nvalues = [1]'),
            "takes the seed",
        ),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, changes: tuple[str, str], message: str) -> None:
    assert changes[0] in TWO_AXES
    with pytest.raises(RecipeError) as caught:
        definition = definitions.load(written(tmp_path, TWO_AXES.replace(*changes)))
        cells_of(definition, "x", {})
        groups(definition, rows_of(definition))
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("axis", ["distill.method", "distill.method=", "distill.method=none,", "method=none,idd"])
def test_mistakes_in_an_axis(axis: str) -> None:
    with pytest.raises(RecipeError, match=r"write it as section\.key=value,value"):
        definitions.parse_axis(axis)


def test_an_unknown_sweep_offers_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'quickstart-methods'"):
        definitions.load("quickstart-method")
