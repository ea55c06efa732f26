"""How a command line names an artifact, and what it says where there is none."""

import pytest

from pipeline.errors import StoreError
from pipeline.references import by_prefix, refuse_sweep


@pytest.fixture
def swept(shelf):
    """A store in which the sweep `losses` made two cells."""
    for cell in ("idd-seed0", "skd-seed0"):
        shelf.store.point(shelf.home / "sweeps" / "losses" / "cells" / f"{cell}.json", shelf.add("distill"))
    return shelf


def test_a_cell_is_shown(call, swept) -> None:
    code, out, _ = call("show", "losses/idd-seed0", "--home", swept.home)
    assert code == 0 and out.startswith("distill ")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("loses/idd-seed0", "no sweep 'loses': did you mean 'losses'?"),
        ("losses/idd-sed0", "sweep losses has no cell 'idd-sed0' that was made: did you mean 'idd-seed0'"),
        ("losses", "losses is a sweep, not a stage: name a cell of it: losses/idd-seed0, losses/skd-seed0"),
        ("distil", "no stage 'distil': did you mean 'distill'?"),
        ("tag:shipped", "no tag 'shipped': there are none yet"),
    ],
)
@pytest.mark.parametrize("verb", ["show", "verify", "lineage"])
def test_what_is_not_there_is_one_line_with_the_nearest(call, swept, verb: str, reference: str, message: str) -> None:
    code, _, err = call(verb, reference, "--home", swept.home)
    assert code == 2 and err.startswith(f"error: {message}") and err.count("\n") == 1


def test_without_sweeps_none_is_offered(call, shelf) -> None:
    assert "no sweep 'x': none has made anything yet" in call("show", "x/y", "--home", shelf.home)[2]
    refuse_sweep(shelf.store, "teacher")


class Plan:
    """As much of a planner as a reference needs: a store, and what is current in it."""

    def __init__(self, store, *current) -> None:
        self.store = store
        self.current = current

    def statuses(self):
        return dict(enumerate(self.current))


def test_one_result_under_two_keys_is_one_artifact(shelf) -> None:
    made = [shelf.add("teacher", content="same", key=letter * 64) for letter in "ab"]
    said: list[str] = []
    for current in made:
        found = by_prefix(Plan(shelf.store, current), "teacher", made[0].digest[:8], said.append)
        assert found.key == current.key
    assert said[1].endswith(f"under 2 keys with equal content: took key {'b' * 12}, the current one")
    assert by_prefix(Plan(shelf.store), "teacher", made[0].digest, said.append).key == made[0].key
    assert said[2].endswith("none of them current")
    assert by_prefix(Plan(shelf.store, made[0]), "teacher", "bb", said.append).key == made[1].key and len(said) == 3
    shelf.add("teacher", key="b" * 64)
    with pytest.raises(StoreError, match="names 2 artifacts"):
        by_prefix(Plan(shelf.store), "teacher", "bb", said.append)
