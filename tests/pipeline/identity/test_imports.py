"""What a stage imports while it runs is seen, whichever way and whenever it was loaded first."""

import importlib

import pytest

from pipeline.errors import StoreError
from pipeline.identity.imports import check_covered, recorded


def test_both_ways_of_importing_are_seen_also_of_what_was_loaded_before() -> None:
    import stages.metrics
    import stages.preprocess  # noqa: F401

    with recorded({"stages"}) as found:
        from stages import metrics  # noqa: F401

        importlib.import_module("stages.preprocess")
        import json  # noqa: F401
    assert found == {"stages", "stages.metrics", "stages.preprocess"}


def test_imports_are_as_before_after_the_block() -> None:
    import builtins

    before = builtins.__import__, importlib.import_module
    with pytest.raises(KeyError), recorded({"stages"}):
        raise KeyError
    assert (builtins.__import__, importlib.import_module) == before


def test_a_module_that_the_key_does_not_count_stops_publication() -> None:
    check_covered("distill", {"stages.a"}, {"stages.a": "0", "stages.b": "1"})
    with pytest.raises(StoreError, match=r"stages\.hidden"):
        check_covered("distill", {"stages.a", "stages.hidden"}, {"stages.a": "0"})


def test_a_hidden_import_is_found_when_a_stage_runs(checkout) -> None:
    pipeline, home = checkout
    (pipeline.root / "stages/hidden.py").write_text("FACTOR = 1\n")
    path = pipeline.root / "stages/position.py"
    old = '    index = read_index(inputs["data"])\n'
    assert path.read_text().count(old) == 1, "the line of `run`"
    hidden = '    __import__("importlib").import_module("stages." + "hidden")\n'
    path.write_text(path.read_text().replace(old, hidden + old, 1))
    done = pipeline("run", home, "--until", "position")
    assert done.returncode == 2 and "stages.hidden" in done.stderr
    assert len(list(home.glob("store/position/*"))) == 1
