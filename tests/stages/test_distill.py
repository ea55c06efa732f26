"""What a recipe may say of the terms, what each artifact depends on, which mistakes are found before anything runs."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.errors import PipelineError
from pipeline.identity.fingerprint import fingerprints
from pipeline.identity.statcache import StatCache
from stages import distill, position, teacher
from stages.losses import methods
from stages.losses.methods import KINDS, METHODS

DOCS = Path(__file__).resolve().parents[2] / "docs" / "loss-weights.md"
TERM_MODULES = {kind.module for kind in KINDS.values()}


def terms_in(stage: Any, config: Any, cache: StatCache) -> set[str]:
    """Modules of terms on which a stage's artifact depends under a config."""
    return TERM_MODULES & set(fingerprints([stage.__name__, *stage.code(config)], cache))


@pytest.fixture
def cache(tmp_path: Path) -> StatCache:
    return StatCache(tmp_path / "cache.json")


def test_an_artifact_depends_on_the_terms_that_it_uses_alone(cache: StatCache) -> None:
    assert terms_in(teacher, teacher.Config(), cache) == {"stages.losses.supervised"}
    assert terms_in(teacher, teacher.Config(iterations=0), cache) == set()
    assert terms_in(position, position.Config(), cache) == set()
    assert terms_in(distill, distill.Config(method="none"), cache) == {"stages.losses.supervised"}
    of_cwd = {"stages.losses.supervised", "stages.losses.channel_wise"}
    assert terms_in(distill, distill.Config(method="cwd"), cache) == of_cwd
    of_idd = terms_in(distill, distill.Config(method="idd"), cache)
    assert "stages.losses.inter_class" in of_idd and "stages.losses.ifvd" not in of_idd


def test_only_a_discriminators_method_depends_on_it(cache: StatCache) -> None:
    def closure(method: str) -> set[str]:
        config = distill.Config(method=method)
        return set(fingerprints(["stages.distill", *distill.code(config)], cache))

    assert "stages.nets.discriminator" not in closure("idd")
    assert closure("idd-published") - closure("idd") >= {"stages.nets.discriminator", "stages.losses.holistic"}


def test_other_methods_and_weights_leave_an_artifact_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    of_teacher, of_cwd = teacher.choices(teacher.Config()), distill.choices(distill.Config(method="cwd"))
    of_idd = distill.choices(distill.Config(method="idd"))
    heavier = {**METHODS["idd"], "position": replace(METHODS["idd"]["position"], weight=7.0)}
    monkeypatch.setattr(methods, "METHODS", {**METHODS, "idd": heavier, "new": METHODS["kd"]})
    monkeypatch.setattr(methods, "KINDS", {**KINDS, "new": KINDS["kd"]})
    assert teacher.choices(teacher.Config()) == of_teacher
    assert distill.choices(distill.Config(method="cwd")) == of_cwd
    assert distill.choices(distill.Config(method="idd")) != of_idd


def test_the_key_tells_a_teachers_terms() -> None:
    terms = teacher.choices(teacher.Config(auxiliary_weight=0.25))["terms"]
    assert terms["auxiliary"].startswith("0.25 x mean of stages.losses.supervised at aux")


def config(terms: Mapping[str, Any], **fields: Any) -> distill.Config:
    return distill.Config.model_validate({"terms": terms, **fields})


def test_a_recipe_composes_a_method() -> None:
    changes = {
        "channel_wise": {"weight": 1.5, "temperature": 2},
        "features": {"kind": "channel_wise", "tap": "backbone", "weight": 50, "ramp": [0.25, 0.5]},
    }
    terms = distill.terms_of(config(changes, method="none"))
    assert terms["channel_wise"].number("temperature") == 2.0
    assert (terms["features"].tap, terms["features"].ramp) == ("backbone", (0.25, 0.5))
    assert distill.needs(config(changes, method="none")) == ("data", "teacher")
    assert distill.needs(config({}, method="idd")) == ("data", "teacher", "position")
    assert distill.needs(config({"position": {"weight": 0}}, method="idd")) == ("data", "teacher")


def test_the_recipe_in_the_docs() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    terms = distill.terms_of(distill.Config.model_validate(tomllib.loads(block)["distill"]))
    assert set(terms) == {"supervised", "auxiliary", "channel_wise", "features", "inter_class"}
    assert (terms["channel_wise"].ramp, terms["inter_class"].reduction) == ((0.1, 0.5), "paper")
    assert {f"`{name}`" for name in METHODS} <= set(re.findall(r"`[a-z-]+`", DOCS.read_text()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": -1}, "greater than or equal to 0"),
        ({"weight": float("nan")}, "finite number"),
        ({"weight": float("inf")}, "finite number"),
        ({"ramp": [0.5, 0.2]}, "needs 0 <= start < end <= 1"),
        ({"ramp": [0.0, 1.5]}, "needs 0 <= start < end <= 1"),
    ],
)
def test_values_that_no_term_takes(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config({"inter_class": change})


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"inter_class": {"reduction": "relativ"}}, "no 'relativ': did you mean 'relative'"),
        ({"inter_clas": {"weight": 1}}, "did you mean 'inter_class'"),
        ({"inter_class": {"temperature": 2}}, "no 'temperature'"),
    ],
)
def test_mistakes_are_found_before_anything_runs(terms: dict[str, Any], message: str) -> None:
    with pytest.raises(PipelineError, match=message) as caught:
        distill.code(config(terms))
    assert "\n" not in str(caught.value)
