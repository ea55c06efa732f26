"""The engine's benchmark at a tiny size."""

import json

from click.testing import CliRunner

from bench.engine import Measurement, build_store, command
from pipeline import recipe as recipes
from pipeline.facts import facts
from pipeline.plan import SETTLED, Planner, State
from pipeline.store.inventory import take_inventory
from pipeline.store.store import Store


def test_a_built_store_is_current_and_holds_the_number(tmp_path) -> None:
    build_store(tmp_path, 12)
    states = {s.state for s in Planner(recipes.load("quickstart"), Store(tmp_path), facts()).statuses().values()}
    assert states <= {*SETTLED, State.NOT_NEEDED}
    assert len(take_inventory(Store(tmp_path)).artifacts) == 12


def test_figures() -> None:
    found = Measurement("status", (0.5, 0.25, 0.125), target_s=0.25).to_json()
    assert (found["median_s"], found["min_s"], found["max_s"], found["n"]) == (0.25, 0.125, 0.5, 3)
    assert found["within_target"] is True
    assert Measurement("status", (0.5,), target_s=0.25).to_json()["within_target"] is False


def test_the_last_line_is_one_json_document(tmp_path) -> None:
    arguments = ["--repeats", "1", "--artifacts", "12", "--files", "20", "--folder", str(tmp_path), "--json"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["heavy_modules_in_status"] == []
    targets = {row["name"]: row["target_s"] for row in found["measurements"]}
    assert targets["status, 10 artifacts"] == 0.3 and targets["20 files rechecked"] == 2.0
    assert found["environment"]["cpu"]["usable_cores"] >= 1
    assert list(tmp_path.iterdir()) == []
