"""`status --check`, `run --dry-run`, and that every verb speaks JSON."""

import json
from importlib import import_module

import click
import pytest

from pipeline.cli import VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_json(verb: str) -> None:
    command = import_module(VERBS[verb]).command
    commands = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    for each in commands:
        options = [word for parameter in each.params for word in parameter.opts]
        assert "--json" in options, each.name
        assert each.help, each.name


def test_all_current_is_exit_code_0(pipeline, finished, call) -> None:
    code, out, _ = call(*pipeline.words("status", finished[0], "--check"))
    assert (code, out) == (0, "every stage is current, skipped or not needed\n")


def test_one_line_for_each_stage_that_is_not(pipeline, finished, call) -> None:
    words = pipeline.words("status", finished[0], "--check", bench__repeats="4")
    assert call(*words)[:2] == (1, "bench is stale: config.repeats: 20 -> 4\n")
    code, out, _ = call(*words, "--json")
    assert code == 1
    assert {row["stage"]: row["state"] for row in json.loads(out)}["bench"] == "stale"


def test_without_check_the_exit_code_is_0(pipeline, tmp_path, call) -> None:
    assert call(*pipeline.words("status", tmp_path))[0] == 0
    assert call(*pipeline.words("status", tmp_path, "--check"))[0] == 1


def test_dry_run_tells_what_each_stage_took_the_last_time(pipeline, finished, call) -> None:
    words = pipeline.words("run", finished[0], "--dry-run", bench__repeats="4")
    code, out, _ = call(*words, "--json")
    assert code == 0
    rows = {row["stage"]: row for row in json.loads(out)}
    (manifest,) = (json.loads(p.read_text()) for p in finished[0].glob("store/bench/*/*/manifest.json"))
    assert rows["bench"]["last"] == {
        "seconds": manifest["seconds"],
        "bytes": sum(file["bytes"] for file in manifest["files"].values()),
        "recipe": "quickstart",
        "digest": manifest["digest"],
    }
    assert rows["teacher"]["last"] is None and rows["teacher"]["action"] == "current"
    text = call(*words)[1]
    assert text.splitlines()[-1].startswith("in all ") and "unknown" not in text


def test_dry_run_of_what_was_never_made(pipeline, shelf, call) -> None:
    shelf.add("data", seconds=90.0, recipe="camvid-cpu", files={"index.json": "x" * 2047})
    code, out, _ = call(*pipeline.words("run", shelf.home, "--dry-run", "--until", "teacher"))
    assert code == 0
    data, teacher, totals = out.splitlines()[1:]
    assert "1 min 30 s (camvid-cpu)" in data and "2.0 KiB (camvid-cpu)" in data
    assert teacher.split()[:5] == ["teacher", "would", "run", "unknown", "unknown"]
    assert totals == "in all 1 min 30 s and 2.0 KiB the last time; unknown, as never made: teacher"


def test_dry_run_with_nothing_to_do(pipeline, finished, call) -> None:
    assert call(*pipeline.words("run", finished[0], "--dry-run"))[1].splitlines()[-1] == "nothing would run"
