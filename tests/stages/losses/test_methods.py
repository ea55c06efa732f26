import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import RecipeError
from stages.losses import methods
from stages.losses.methods import KINDS, METHODS, choice, needs_position, needs_teacher, resolve

ROOT = Path(__file__).resolve().parents[3]


def test_a_recipe_is_checked_without_torch() -> None:
    command = "import sys, stages.losses.methods; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=True)


@pytest.mark.parametrize("name", KINDS)
def test_every_term_has_a_module_that_a_wheel_carries(name: str) -> None:
    assert ROOT.joinpath(*KINDS[name].module.split(".")).with_suffix(".py").is_file()


def test_none_is_supervised_alone() -> None:
    terms = resolve("none", {})
    assert {name: term.weight for name, term in terms.items()} == {"supervised": 1.0, "auxiliary": 0.4}
    assert not needs_teacher(terms) and not needs_position(terms)


def test_the_methods_and_what_they_need() -> None:
    needs = {name: (needs_teacher(terms), needs_position(terms)) for name, terms in METHODS.items()}
    assert needs.pop("none") == needs.pop("custom") == (False, False)
    assert needs.pop("idd") == needs.pop("idd-published") == (True, True)
    assert set(needs.values()) == {(True, False)}
    assert {"kd", "skd", "ifvd", "cwd"} <= set(needs)


def test_idd_is_eq_6() -> None:
    assert set(METHODS["idd-published"]) == {
        *("supervised", "auxiliary", "pixel_wise", "pair_wise", "holistic"),
        *("channel_wise", "inter_class", "position"),
    }
    assert set(METHODS["idd-published"]) - set(METHODS["idd"]) == {"holistic"}


def test_published_settings() -> None:
    skd, ifvd, cwd = (METHODS[f"{name}-published"] for name in ("skd", "ifvd", "cwd"))
    assert (skd["pixel_wise"].weight, skd["pixel_wise"].reduction) == (10.0, "published")
    assert (skd["pair_wise"].weight, skd["holistic"].weight) == (0.5, 0.1)
    assert skd["holistic"].options == {"discriminator_lr": 4e-4, "gradient_penalty": 10.0}
    assert (ifvd["ifvd"].weight, ifvd["pixel_wise"].weight, ifvd["holistic"].weight) == (200.0, 10.0, 0.001)
    assert ifvd["pixel_wise"].reduction == "mean"
    assert (cwd["channel_wise"].weight, cwd["channel_wise"].number("temperature")) == (3.0, 4.0)
    features = METHODS["cwd-features-published"]["channel_wise_features"]
    assert (features.kind, features.tap, features.weight) == ("channel_wise", "pyramid", 50.0)


@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name]])
def test_defaults_pass_the_checks_that_a_change_meets(method: str) -> None:
    unchanged = {
        name: {"weight": term.weight, "reduction": term.reduction, "tap": term.tap, **term.options}
        for name, term in METHODS[method].items()
    }
    assert resolve(method, unchanged) == dict(METHODS[method])


def test_changes() -> None:
    change = {"weight": 2.0, "reduction": "paper", "label_grid": "aligned", "ramp": (0.1, 0.5)}
    terms = resolve("idd", {"inter_class": change})
    changed = terms["inter_class"]
    assert (changed.weight, changed.reduction, changed.word("label_grid")) == (2.0, "paper", "aligned")
    assert (changed.tap, changed.ramp) == ("pyramid", (0.1, 0.5))
    assert terms["channel_wise"] == METHODS["idd"]["channel_wise"]


def test_weight_zero_drops_a_term() -> None:
    terms = resolve("idd", {"position": {"weight": 0}})
    assert "position" not in terms
    assert needs_teacher(terms) and not needs_position(terms)


def test_a_weight_adds_a_term_with_its_defaults() -> None:
    terms = resolve("none", {"channel_wise": {"weight": 3.0}})
    assert set(terms) == {"supervised", "auxiliary", "channel_wise"}
    assert (terms["channel_wise"].weight, terms["channel_wise"].options) == (3.0, {"temperature": 4.0})
    assert needs_teacher(terms)


def test_a_term_may_be_used_twice() -> None:
    second = {"kind": "channel_wise", "tap": "pyramid", "weight": 50.0, "temperature": 1}
    terms = resolve("cwd", {"channel_wise_features": second})
    assert (terms["channel_wise"].tap, terms["channel_wise_features"].tap) == ("logits", "pyramid")
    assert terms["channel_wise_features"].number("temperature") == 1.0


def test_custom_starts_from_nothing() -> None:
    terms = resolve("custom", {"kd": {"weight": 1.0, "tap": "logits"}})
    assert set(terms) == {"kd"}


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        ("iddd", {}, "no method 'iddd': did you mean 'idd'"),
        ("idd", {"interclass": {}}, "no term 'interclass': did you mean 'inter_class'"),
        ("idd", {"second": {"kind": "channelwise", "weight": 1}}, "second.kind: no term 'channelwise': did you mean"),
        ("idd", {"ifvd": {"kind": "kd", "weight": 1}}, "ifvd: a second kd needs a name of its own"),
        ("idd", {"a.b": {"kind": "kd", "weight": 1}}, "a second kd needs a name of its own, of letters"),
        ("idd", {"position": {"kind": "kd"}}, "position is a position term already"),
        ("idd", {"inter_class": {"reduction": "papers"}}, "no 'papers': did you mean 'paper'"),
        ("idd", {"pair_wise": {"reduction": "published"}}, "no 'published': choose one of mean"),
        ("idd", {"pair_wise": {"temperature": 2.0}}, "pair_wise.temperature: this term has no 'temperature': choose"),
        ("idd", {"position": {"label_grid": "aligned"}}, "position.label_grid: this term has no 'label_grid'"),
        ("idd", {"channel_wise": {"temprature": 2.0}}, "no 'temprature': did you mean 'temperature'"),
        ("idd", {"channel_wise": {"wieght": 2.0}}, "no 'wieght': did you mean 'weight'"),
        ("idd", {"channel_wise": {"temperature": 0}}, "temperature = 0: give a number above 0"),
        ("idd", {"channel_wise": {"temperature": "hot"}}, "temperature = 'hot': give a number above 0"),
        ("idd", {"inter_class": {"label_grid": "align"}}, "no 'align': did you mean 'aligned'"),
        ("idd", {"auxiliary": {"tap": "pyramid"}}, "auxiliary always reads 'aux'"),
        ("none", {"channel_wise": {"temperature": 2.0}}, "give it a weight"),
        ("none", {"supervised": {"weight": 0}, "auxiliary": {"weight": 0}}, "nothing to train on"),
        ("custom", {}, "nothing to train on"),
    ],
)
def test_mistakes(method: str, changes: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        resolve(method, changes)
    assert "\n" not in str(caught.value)


def test_a_choice_tells_all_that_decides_a_result_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = resolve("idd", {"inter_class": {"ramp": (0.1, 0.5)}})
    told = choice(terms)
    assert told["inter_class"] == (
        "1.0 x relative of stages.losses.inter_class at pyramid, label_grid public, ramp 0.1 to 0.5, widths any"
    )
    more = replace(KINDS["inter_class"], reductions=(*KINDS["inter_class"].reductions, "another"))
    monkeypatch.setattr(methods, "KINDS", {**KINDS, "inter_class": more})
    assert choice(terms) == told
    moved = replace(KINDS["inter_class"], module="stages.losses.elsewhere")
    monkeypatch.setattr(methods, "KINDS", {**KINDS, "inter_class": moved})
    assert choice(terms) != told
