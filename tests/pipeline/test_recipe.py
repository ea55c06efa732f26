"""Recipes: every shipped one is valid, every mistake is one line that offers the nearest name."""

import pytest

from pipeline import recipe
from pipeline.errors import RecipeError


@pytest.mark.parametrize("name", recipe.shipped())
def test_shipped_recipes_are_valid_and_say_what_they_do(name: str) -> None:
    loaded = recipe.load(name)
    text = recipe.shipped()[name].read_text()
    assert set(loaded.configs) >= {"data", "teacher", "position", "distill", "export.onnx", "bench"}
    assert text.startswith("# ") and "python -m pipeline run" in text


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("teacher.itertions=5", "unknown key teacher.itertions: did you mean 'iterations'"),
        ("distill.student.width=1", "unknown key distill.student.width"),
        ("techer.iterations=5", "unknown section 'techer': did you mean 'teacher'"),
        ("export.onx.opset=19", "unknown section 'export.onx': did you mean 'export.onnx'"),
        ("teacher.iterations=many", "teacher.iterations = 'many'"),
        ("teacher.lr=-1", "teacher.lr = -1"),
        ("teacher.iterations", "write it as section.key=value"),
        ("distill.method=id", "did you mean 'idd'"),
    ],
)
def test_mistakes_are_named(setting: str, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        loaded = recipe.load("quickstart", [setting])
        module = __import__("stages.distill", fromlist=["needs"])
        module.needs(loaded.configs["distill"])
    assert message in str(error.value) and "\n" not in str(error.value)


def test_unknown_recipe_offers_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'quickstart'"):
        recipe.load("quickstrat")


def test_settings_take_toml_values_and_plain_strings() -> None:
    loaded = recipe.load(
        "quickstart", ["teacher.crop_px=[64, 64]", "distill.student.net=espnet", "teacher.weights=torchvision"]
    )
    assert loaded.configs["teacher"].crop_px == (64, 64)
    assert loaded.configs["distill"].student.net == "espnet"
    assert loaded.configs["teacher"].weights == "torchvision"


def test_baseline_is_distill_without_a_teacher() -> None:
    configs = recipe.load("quickstart").configs
    expected = configs["distill"].model_copy(update={"method": "none", "terms": {}})
    assert configs["baseline"] == expected


def test_configs_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        recipe.load("quickstart").configs["teacher"].iterations = 1
