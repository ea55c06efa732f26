"""What an artifact was made from, and what was made from it."""

import json

import pytest


@pytest.fixture
def family(shelf):
    """data -> teacher -> two students, one of them exported."""
    data = shelf.add("data", summary={"images": "train 12"})
    teacher = shelf.add("teacher", {"data": data})
    student = shelf.add("distill", {"data": data, "teacher": teacher})
    other = shelf.add("distill", {"data": data, "teacher": teacher})
    exported = shelf.add("export.onnx", {"data": data, "distill": student})
    return {"data": data, "teacher": teacher, "student": student, "other": other, "exported": exported}


def lineage(call, shelf, reference: str):
    code, out, err = call("lineage", reference, "--home", shelf.home, "--json")
    assert code == 0, err
    return json.loads(out)


def digests(nodes):
    """The tree as nested (digest, below)."""
    return [(node["digest"], digests(node["below"])) for node in nodes]


def test_both_ways(call, shelf, family) -> None:
    tree = lineage(call, shelf, f"teacher@{family['teacher'].digest}")
    assert digests(tree["upstream"]) == [(family["data"].digest, [])]
    assert digests(tree["downstream"]) == [
        (family["student"].digest, [(family["exported"].digest, [])]),
        (family["other"].digest, []),
    ]


def test_up_to_the_data_set_and_each_subtree_once(call, shelf, family) -> None:
    tree = lineage(call, shelf, f"export.onnx@{family['exported'].digest}")
    data, student = tree["upstream"]
    assert data["summary"] == {"images": "train 12"} and not data["repeated"]
    assert [(node["stage"], node["repeated"]) for node in student["below"]] == [("data", True), ("teacher", False)]
    assert tree["downstream"] == []


def test_tags_and_accepted_reasons_are_shown(call, shelf, family) -> None:
    accepted = {"from_key": "f" * 64, "reason": "renamed a helper", "at": "2026-01-01T00:00:00+00:00"}
    again = shelf.add("export.onnx", {"distill": family["student"]}, accepted=accepted)
    shelf.store.point(shelf.home / "tags" / "shipped.json", again)
    tree = lineage(call, shelf, f"distill@{family['student'].digest}")
    node = tree["downstream"][-1]
    assert node["tags"] == ["shipped"] and node["accepted"]["reason"] == "renamed a helper"
    text = call("lineage", f"distill@{family['student'].digest}", "--home", shelf.home)[1]
    assert "[shipped]" in text and "accepted in place of key ffffffffffff: renamed a helper" in text


def test_an_accepted_copy_counts_by_its_digest(call, shelf, family) -> None:
    copy = shelf.add("teacher", {"data": family["data"]}, content=(family["teacher"].folder / "model.txt").read_text())
    assert copy.digest == family["teacher"].digest and copy.key != family["teacher"].key
    tree = lineage(call, shelf, f"teacher@{copy.key}")
    assert [digest for digest, _ in digests(tree["downstream"])] == [family["student"].digest, family["other"].digest]


def test_inputs_that_are_gone_or_were_skipped(call, shelf, family) -> None:
    gone = shelf.add("data", key="9" * 64)
    report = shelf.add(
        "bench",
        {"data": gone, "distill": family["student"]},
        components={"inputs": {"data": gone.digest, "distill": family["student"].digest, "export.tensorrt": "skipped"}},
    )
    (gone.folder / "manifest.json").unlink()
    tree = lineage(call, shelf, f"bench@{report.digest}")
    states = [(node["stage"], node["state"]) for node in tree["upstream"]]
    assert states == [("data", "gone"), ("distill", "in store"), ("export.tensorrt", "skipped")]
    text = call("lineage", f"bench@{report.digest}", "--home", shelf.home)[1]
    assert f"data {gone.digest[:12]}  no longer in this store" in text


def test_of_a_real_run(pipeline, finished, call) -> None:
    code, out, _ = call(*pipeline.words("lineage", finished[0], "distill"))
    assert code == 0
    made_from, used_by = out.split("used by")
    assert all(stage in made_from for stage in ("data ", "teacher ", "position "))
    assert "export.onnx " in used_by and "bench " in used_by


def test_unknown_reference(call, shelf, family) -> None:
    code, _, err = call("lineage", "distill@nothing", "--home", shelf.home)
    assert code == 2 and "no artifact distill@nothing" in err
