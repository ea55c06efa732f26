"""A refactor can be declared harmless, with a reason that stays; anything else cannot."""

import json

from tests.pipeline.identity.test_explain import edit, states


def refactor(checkout) -> None:
    edit(checkout[0].root, "stages/distill.py", "def load_teacher(", "UNUSED = 1\n\n\ndef load_teacher(")


def test_an_accepted_refactor_is_current_with_its_reason(checkout) -> None:
    pipeline, home = checkout
    refactor(checkout)
    assert states(pipeline, home)["distill"] == "stale"
    done = pipeline("accept", home, "distill", "baseline", "--reason", "a constant was added", "--json")
    assert done.returncode == 0, done.stderr
    assert [row["reason"] for row in json.loads(done.stdout)] == ["a constant was added"] * 2
    assert set(states(pipeline, home).values()) <= {"current", "skipped"}
    shown = json.loads(pipeline("show", home, "distill", "--json").stdout)
    assert shown["accepted"]["reason"] == "a constant was added"
    assert shown["accepted"]["from_key"] != shown["key"]


def test_a_changed_setting_cannot_be_accepted(checkout) -> None:
    pipeline, home = checkout
    refactor(checkout)
    done = pipeline("accept", home, "distill", "--reason", "looks fine", distill__lr="0.02")
    assert done.returncode == 2 and "config.lr: 0.03 -> 0.02" in done.stderr


def test_what_is_current_cannot_be_accepted(pipeline, finished) -> None:
    done = pipeline("accept", finished[0], "distill", "--reason", "to be sure")
    assert done.returncode == 2 and "distill is current" in done.stderr


def test_a_flipped_byte_is_not_carried_over(checkout) -> None:
    pipeline, home = checkout
    refactor(checkout)
    for path in home.glob("store/distill/*/*/metrics.json"):
        path.write_text(path.read_text() + " ")
    done = pipeline("accept", home, "distill", "--reason", "a constant was added")
    assert done.returncode == 2 and "verify" in done.stderr
    assert states(pipeline, home)["distill"] != "current"
