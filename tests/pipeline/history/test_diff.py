"""What differs between two artifacts."""

import json

import pytest

from pipeline.history.diff import compare, differences

SCORES = {"test": {"miou": 0.5, "images": 4, "per_class_iou": {"road": 0.75, "sky": 0.25, "car": None}}}
BETTER = {"test": {"miou": 0.625, "images": 4, "per_class_iou": {"road": 0.75, "sky": 0.5, "car": 0.125}}}


def groups_of(old, new):
    return {name: [c.to_json() for c in changes] for name, changes in differences(old, new).groups.items() if changes}


def test_every_group_holds_what_differs_and_nothing_else(shelf) -> None:
    old = shelf.add(
        "distill",
        content="same",
        files={"metrics.json": json.dumps(SCORES)},
        components={"config": {"lr": 0.03, "seed": 0}, "code": {"stages.distill": "a" * 64}},
        environment={"torch": "2.13", "device": "cpu"},
    )
    new = shelf.add(
        "distill",
        content="same",
        files={"metrics.json": json.dumps(BETTER)},
        components={"config": {"lr": 0.02, "seed": 0}, "code": {"stages.distill": "b" * 64, "stages.new": "c" * 64}},
        environment={"torch": "2.14", "device": "cpu"},
        seconds=3.0,
    )
    sizes = [made.manifest["files"]["metrics.json"]["bytes"] for made in (old, new)]
    totals = [sum(f["bytes"] for f in made.manifest["files"].values()) for made in (old, new)]
    assert groups_of(old, new) == {
        "config": [{"name": "lr", "old": 0.03, "new": 0.02, "change": pytest.approx(-0.01)}],
        "code": [
            {"name": "stages.distill", "old": "a" * 64, "new": "b" * 64},
            {"name": "stages.new", "old": None, "new": "c" * 64},
        ],
        "environment": [{"name": "torch", "old": "2.13", "new": "2.14"}],
        "metrics": [{"name": "test.miou", "old": 0.5, "new": 0.625, "change": 0.125}],
        "IoU by class, test": [
            {"name": "sky", "old": 0.25, "new": 0.5, "change": 0.25},
            {"name": "car", "old": None, "new": 0.125},
        ],
        "run": [
            {"name": "seconds", "old": 1.0, "new": 3.0, "change": 2.0},
            {"name": "bytes", "old": totals[0], "new": totals[1], "change": totals[1] - totals[0]},
        ],
        "files": [{"name": "metrics.json", "old": sizes[0], "new": sizes[1], "change": sizes[1] - sizes[0]}],
    }


def test_a_group_that_is_one_value_gives_its_own_name() -> None:
    assert [(c.name, c.old, c.new) for c in compare("schema", 1, 2)] == [("schema", 1, 2)]
    assert [c.name for c in compare("config", {"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2})] == ["a.b"]


def test_true_and_false_have_no_difference_in_number() -> None:
    (change,) = compare("config", {"mirror": True}, {"mirror": False})
    assert change.to_json() == {"name": "mirror", "old": True, "new": False}


def test_changed_source_files_are_named(shelf) -> None:
    old = shelf.add("data", files={"sources.json": json.dumps({"images/1.png": "1", "images/2.png": "2"})})
    new = shelf.add("data", files={"sources.json": json.dumps({"images/1.png": "1", "images/2.png": "3"})})
    assert groups_of(old, new)["sources"] == [{"name": "images/2.png", "old": "2", "new": "3"}]


def test_latency_of_benchmark_reports_side_by_side(shelf) -> None:
    def report(milliseconds: float) -> dict[str, str]:
        rows = [
            {"name": "student torch", "statistics": {"p50_ms": milliseconds}},
            {"name": "student tensorrt", "statistics": None},
        ]
        document = {
            "latency": {"rows": rows},
            "complexity": {"student": {"params": 10, "macs": 20}},
            "accuracy": {"student": {"test": {"miou": 0.5}}},
        }
        return {"report.json": json.dumps(document)}

    found = groups_of(shelf.add("bench", files=report(12.5)), shelf.add("bench", files=report(10.0)))
    assert found["latency, ms at the median"] == [{"name": "student torch", "old": 12.5, "new": 10.0, "change": -2.5}]
    assert "parameters" not in found and "mIoU" not in found


def test_two_real_students(pipeline, finished, call, tmp_path) -> None:
    words = pipeline.words("diff", finished[0], "baseline", "distill")
    code, out, err = call(*words, "--json")
    assert code == 0, err
    found = json.loads(out)
    changes = {name: {row["name"]: row for row in rows} for name, rows in found["groups"].items()}
    assert changes["config"]["method"]["old"] == "none" and changes["config"]["method"]["new"] == "idd"
    assert changes["metrics"]["test.miou"]["change"] == pytest.approx(
        changes["metrics"]["test.miou"]["new"] - changes["metrics"]["test.miou"]["old"]
    )
    assert changes["IoU by class, test"] and found["groups"]["schema"] == [] and not found["equal_outputs"]
    text = call(*words)[1]
    assert "method  none  idd" in text and "outputs: different" in text and "equal: " in text


def test_an_artifact_and_itself(pipeline, finished, call) -> None:
    code, out, _ = call(*pipeline.words("diff", finished[0], "bench", "bench"))
    assert code == 0 and "outputs: equal" in out
    found = json.loads(call(*pipeline.words("diff", finished[0], "bench", "bench", "--json"))[1])
    assert found["equal_outputs"] and not any(found["groups"].values())
    assert "latency, ms at the median" in found["groups"]


def test_different_kinds_are_refused(pipeline, finished, call) -> None:
    code, _, err = call(*pipeline.words("diff", finished[0], "teacher", "distill"))
    assert code == 2 and "teacher and distill cannot be compared" in err
