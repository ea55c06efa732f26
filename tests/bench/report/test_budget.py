"""The student that is named under a budget."""

from collections.abc import Callable
from typing import Any

import pytest

from bench.report.budget import budget_text, choose, parse_budget
from bench.report.points import dots, frontier, headline, points
from pipeline.errors import StoreError


def chosen(report: dict[str, Any], *budget: str) -> dict[str, str | None]:
    answers = choose(points(report), parse_budget(budget))
    return {answer["machine"]: answer["best"] and answer["best"]["name"] for answer in answers}


def test_points_are_the_scored_inferences(report: dict[str, Any], board: dict[str, Any]) -> None:
    board["latency"]["rows"][0]["accuracy"]["pictures"] = "same"
    report["added"] = [{"file": "board.json", "sha256": "a" * 64, "report": board}]
    found = points(report)
    assert [point.name for point in found] == [
        "teacher torch",
        "student torch",
        "student.fp32.labels onnxruntime",
        "student.fp32.logits onnxruntime",
        "student.int8-cpu.labels onnxruntime",
        "student.fp32.labels tensorrt inference",
    ]
    assert (found[-1].machine, found[-1].miou, found[-1].images) == ("NVIDIA Jetson AGX Orin", 0.765, 50)
    assert (found[0].params, found[-1].params) == (8_000_000, None)


def test_a_board_alone_is_its_own_axis_and_added_unmarked_none(report: dict[str, Any], board: dict[str, Any]) -> None:
    assert [point.images for point in points(board)] == [50]
    report["added"] = [{"file": "board.json", "sha256": "a" * 64, "report": board}]
    assert {point.machine for point in points(report)} == {"Some CPU"}


def test_the_frontier_leaves_out_what_another_beats(report: dict[str, Any]) -> None:
    assert [(p.p50_ms, p.miou) for p in frontier(points(report))] == [(4.0, 0.76), (8.0, 0.77), (40.0, 0.8)]


def test_dots_are_networks_the_baseline_with_the_students_size(report: dict[str, Any]) -> None:
    found = [(dot.role, dot.params, round(dot.miou, 3)) for dot in dots(report)]
    assert found == [("teacher", 8_100_000, 0.8), ("baseline", 2_100_000, 0.8), ("student", 2_100_000, 0.77)]


def test_the_best_is_most_accurate_then_fastest(report: dict[str, Any]) -> None:
    assert chosen(report, "latency_ms=10") == {"Some CPU": "student.fp32.logits onnxruntime"}
    assert chosen(report, "latency_ms=5") == {"Some CPU": "student.int8-cpu.labels onnxruntime"}


def test_a_compiled_network_is_no_file(report: dict[str, Any], make_row: Callable[..., dict[str, Any]]) -> None:
    compiled = make_row("student torch compiled", 1.0, 0.9, runtime="torch-compiled", file="model.safetensors")
    report["latency"]["rows"].append(compiled)
    assert chosen(report, "latency_ms=10") == {"Some CPU": "student.fp32.logits onnxruntime"}


def test_a_form_of_tensorrt_ships_in_no_other_runtime(
    report: dict[str, Any], make_row: Callable[..., dict[str, Any]]
) -> None:
    report["latency"]["rows"].append(make_row("student.int8-tensorrt.labels onnxruntime", 1.0, 0.9))
    assert report["latency"]["rows"][-1]["file"] == "student.int8-tensorrt.labels.onnx"
    assert chosen(report, "latency_ms=10") == {"Some CPU": "student.fp32.logits onnxruntime"}


def test_none_fits(report: dict[str, Any]) -> None:
    assert chosen(report, "latency_ms=1") == {"Some CPU": None}
    assert chosen(report, "latency_ms=5", "miou=76.5") == {"Some CPU": None}
    limits = parse_budget(["latency_ms=1"])
    text = budget_text(limits, choose(points(report), limits))
    assert text == "latency_ms <= 1 on Some CPU: none of 3 exported forms fits"


def test_what_was_not_measured_keeps_no_limit(report: dict[str, Any]) -> None:
    assert chosen(report, "energy_j=1") == {"Some CPU": "student.fp32.logits onnxruntime"}
    assert chosen(report, "peak_mib=10") == {"Some CPU": None}


def test_each_machine_has_its_own_answer(report: dict[str, Any], board: dict[str, Any]) -> None:
    board["latency"]["rows"][0]["accuracy"]["pictures"] = "same"
    report["added"] = [{"file": "board.json", "sha256": "a" * 64, "report": board}]
    assert chosen(report, "latency_ms=3") == {
        "Some CPU": None,
        "NVIDIA Jetson AGX Orin": "student.fp32.labels tensorrt inference",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("latency=3", "did you mean 'latency_ms'"),
        ("miou=high", "write it as miou=NUMBER"),
        ("miou=nan", "write it as miou=NUMBER"),
        ("=", "''"),
    ],
)
def test_a_wrong_budget_is_refused(text: str, why: str) -> None:
    with pytest.raises(StoreError, match=why):
        parse_budget([text])


def test_the_headline_of_a_board_tells_whether_its_quickest_file_was_scored(board: dict[str, Any]) -> None:
    quickest = "pspnet_resnet18 (width=0.5) on NVIDIA Jetson AGX Orin: p50 1.5 ms at best"
    assert headline(board) == f"{quickest} (student.fp16.labels tensorrt inference), mIoU not measured"
    board["latency"]["rows"].pop()
    assert headline(board).endswith("(student.fp32.labels tensorrt inference), mIoU 76.50 % on 50 images")
