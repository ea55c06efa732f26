"""`status --check`, `run --dry-run`, and that every verb speaks JSON."""

import json
from importlib import import_module

import click
import pytest

from pipeline.cli import VERBS

SLACK = 6.0
"""A run of seconds on a machine that tests share tells the order of a time, and no more."""


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
    estimated, measured = rows["bench"]["estimate"], manifest["seconds"]
    assert estimated["why"] == "" and measured / SLACK < estimated["seconds"] < measured * SLACK
    assert rows["teacher"]["estimate"] is None
    _, text, told = call(*words)
    assert text.splitlines()[-2].startswith("in all about ") and text.splitlines()[-1].startswith("the last time ")
    assert "rehearses" not in told


def test_dry_run_tells_what_each_stage_would_cost(pipeline, finished, call, tmp_path) -> None:
    code, out, told = call(*pipeline.words("run", tmp_path, "--dry-run"), "--json")
    assert code == 0 and "rehearses, a few seconds: steps of pspnet_resnet18" in told
    assert not (tmp_path / "store").exists()
    manifests = [json.loads(path.read_text()) for path in finished[0].glob("store/*/*/*/manifest.json")]
    made = {manifest["stage"]: manifest for manifest in manifests}
    rows = {row["stage"]: row for row in json.loads(out) if row["action"] == "would run"}
    assert set(rows) == set(made) == {"data", "teacher", "position", "distill", "baseline", "export.onnx", "bench"}
    for stage, row in rows.items():
        estimate = row["estimate"]
        assert estimate["why"] == "", stage
        assert made[stage]["seconds"] / SLACK < estimate["seconds"] < made[stage]["seconds"] * SLACK, stage
        size = sum(file["bytes"] for file in made[stage]["files"].values())
        assert size / 2 < estimate["bytes"] < 3 * size, stage
        assert made[stage]["process_peak_mib"] / 2 < estimate["peak_mib"] < 2 * made[stage]["process_peak_mib"], stage


def test_dry_run_of_what_was_never_made(pipeline, shelf, call, monkeypatch) -> None:
    monkeypatch.setattr("stages.estimates.training.estimate", refuse)
    shelf.add("data", seconds=90.0, recipe="camvid-cpu", files={"index.json": "x" * 2047})
    code, out, _ = call(*pipeline.words("run", shelf.home, "--dry-run", "--until", "teacher"))
    assert code == 0
    data, teacher, _, last, unknown = out.splitlines()[1:]
    assert "1 min 30 s (camvid-cpu)" in data and "2.0 KiB (camvid-cpu)" in data
    assert teacher.split()[:8] == ["teacher", "would", "run", "-", "-", "-", "-", "-"]
    assert last == "the last time 1 min 30 s and 2.0 KiB"
    assert unknown == "teacher: not estimated: no memory"


def refuse(*_: object) -> None:
    raise RuntimeError("no memory")


def test_dry_run_with_nothing_to_do(pipeline, finished, call) -> None:
    assert call(*pipeline.words("run", finished[0], "--dry-run"))[1].splitlines()[-1] == "nothing would run"
