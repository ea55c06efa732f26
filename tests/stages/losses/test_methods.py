import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import RecipeError
from stages.losses.methods import KINDS, METHODS, needs_position, needs_teacher, resolve

ROOT = Path(__file__).resolve().parents[3]


def test_a_recipe_is_checked_without_torch() -> None:
    command = "import sys, stages.losses.methods; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=True)


def test_none_is_supervised_alone() -> None:
    terms = resolve("none", {})
    assert {name: term.weight for name, term in terms.items()} == {"supervised": 1.0, "auxiliary": 0.4}
    assert not needs_teacher(terms) and not needs_position(terms)


def test_idd_has_every_term_and_needs_both_networks() -> None:
    terms = resolve("idd", {})
    assert set(terms) == set(KINDS)
    assert needs_teacher(terms) and needs_position(terms)


@pytest.mark.parametrize("method", METHODS)
def test_defaults_pass_the_checks_that_a_change_meets(method: str) -> None:
    unchanged = {name: {"weight": term.weight} for name, term in METHODS[method].items()}
    assert resolve(method, unchanged) == dict(METHODS[method])


def test_changes() -> None:
    terms = resolve("idd", {"inter_class": {"weight": 2.0, "reduction": "paper", "label_grid": "aligned"}})
    changed = terms["inter_class"]
    assert (changed.weight, changed.reduction, changed.label_grid, changed.tap) == (2.0, "paper", "aligned", "pyramid")
    assert terms["channel_wise"] == METHODS["idd"]["channel_wise"]


def test_weight_zero_drops_a_term() -> None:
    terms = resolve("idd", {"position": {"weight": 0}})
    assert "position" not in terms
    assert needs_teacher(terms) and not needs_position(terms)


def test_a_weight_adds_a_term_with_the_defaults_of_idd() -> None:
    terms = resolve("none", {"channel_wise": {"weight": 3.0}})
    assert set(terms) == {"supervised", "auxiliary", "channel_wise"}
    assert (terms["channel_wise"].weight, terms["channel_wise"].temperature) == (3.0, 4.0)
    assert needs_teacher(terms)


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        ("iddd", {}, "no method 'iddd': did you mean 'idd'"),
        ("idd", {"interclass": {}}, "no term 'interclass': did you mean 'inter_class'"),
        ("idd", {"inter_class": {"reduction": "papers"}}, "no 'papers': did you mean 'paper'"),
        ("idd", {"pair_wise": {"reduction": "published"}}, "no 'published': choose one of mean"),
        ("idd", {"pair_wise": {"temperature": 2.0}}, "pair_wise has none"),
        ("idd", {"position": {"label_grid": "aligned"}}, "position has none"),
        ("idd", {"auxiliary": {"tap": "pyramid"}}, "auxiliary always reads 'aux'"),
        ("none", {"channel_wise": {"temperature": 2.0}}, "give it a weight"),
        ("none", {"supervised": {"weight": 0}, "auxiliary": {"weight": 0}}, "nothing is left to train on"),
    ],
)
def test_mistakes(method: str, changes: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        resolve(method, changes)
    assert "\n" not in str(caught.value)
