"""What is told of a student's gaps, and which student it is compared with."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.gaps.report import difference, gaps_text, panels, standings, verdicts
from pipeline.gaps.show import show_gaps, without_distillation
from pipeline.store.store import Artifact, Store

IMAGES = ["images/a.png", "images/b.png"]


def graph(value: float | None) -> dict[str, Any]:
    """Two classes at a relative distance; a third that never stands beside them."""
    row = [[None, value, None], [value, None, None], [None] * 3]
    return {"relative": row, "mean_distance": 2.0}


def gaps_of(after: float, position: dict[str, Any] | None = None, teacher: float | None = 1.0) -> dict[str, Any]:
    graphs = {"before": graph(0.2), "after": graph(after), **({"teacher": graph(teacher)} if teacher else {})}
    inter_class = {"tap": "pyramid", "graphs": {"pyramid": graphs}}
    named = {"split": "test", "images": IMAGES, "classes": ["road", "sky", "car"]}
    return {**named, "inter_class": inter_class, "position": position}


POSITION = {"before": {"horizontal": 0.5, "vertical": 0.25}, "after": {"horizontal": 0.1, "vertical": 0.5}}
DISTILLED, ALONE = gaps_of(0.9, POSITION), gaps_of(0.6, teacher=None)


def test_difference_is_the_mean_over_pairs_that_both_have() -> None:
    assert difference([[None, 1.0], [1.5, None]], [[None, 0.5], [None, None]]) == 0.5
    assert difference([[None]], [[None]]) is None


def test_students_stand_in_order_of_time() -> None:
    before, alone, after = standings(DISTILLED, ALONE)
    assert [s.who for s in (before, alone, after)] == ["before", "without distillation", "after"]
    assert [s.inter_class for s in (before, alone, after)] == pytest.approx([0.8, 0.4, 0.1])
    assert alone.horizontal is None and after.horizontal == 0.1


def test_the_verdict_names_what_it_compares_with() -> None:
    found = verdicts(standings(DISTILLED, ALONE))
    assert found[0] == "inter-class distances: gap 0.4 -> 0.1, 75% smaller than without distillation"
    assert found[1] == "position, horizontal: gap 0.5 -> 0.1, 80% smaller than before training"
    assert found[2] == "position, vertical: gap 0.25 -> 0.5, 100% larger than before training"
    assert verdicts(standings(DISTILLED))[0].endswith("than before training")


def test_a_baseline_that_saw_other_images_is_left_out() -> None:
    assert len(standings(DISTILLED, {**ALONE, "images": IMAGES[:1]})) == 2
    assert [title.partition("\n")[0] for title, _ in panels(DISTILLED, ALONE)] == [
        "teacher",
        "student, untrained",
        "student, without distillation",
        "student",
    ]


def test_text_says_where_and_what() -> None:
    text = gaps_text(DISTILLED, ALONE, "without distillation: distill@123")
    assert "class distances (pyramid)" in text and "2 images of test" in text and text.endswith("distill@123")


def publish(store: Store, key: str, method: str, gaps: dict[str, Any], data: str = "d") -> Artifact:
    work = store.new_work_folder()
    (work / "gaps.json").write_text(json.dumps(gaps))
    (work / "model").write_text(key)
    terms = {} if method == "none" else {"position": {"tap": "backbone"}}
    components = {"config": {"method": method, "terms": terms, "seed": 0}, "inputs": {"data": data}}
    manifest = {"kind": "distill", "key": key, "stage": "distill", "components": components, "created": key}
    return store.publish(work, manifest, {"gaps.json"})


def test_the_student_without_distillation_is_found_and_drawn_beside(tmp_path: Path) -> None:
    store = Store(tmp_path)
    distilled = publish(store, "k1", "idd", DISTILLED)
    publish(store, "k2", "cwd", DISTILLED)
    publish(store, "k3", "none", ALONE, data="other")
    assert without_distillation(store, distilled) is None
    shown = show_gaps(store, distilled)
    assert shown and "no such student without distillation" in shown.text and shown.json["pictures"] == []
    alone = publish(store, "k4", "none", ALONE)
    assert without_distillation(store, distilled) == alone
    shown = show_gaps(store, distilled)
    assert shown and f"without distillation: distill@{alone.digest[:12]}" in shown.text
    (picture,) = shown.json["pictures"]
    with Image.open(picture) as drawn:
        assert drawn.width > 2 * drawn.height
    assert show_gaps(store, alone) is None
