"""Two reports beside each other, and reports added to one."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from bench.report.added import fold, same_file, set_apart
from bench.report.compare import compare, compare_text
from bench.report.markdown import added_rows, markdown
from bench.report.points import points
from pipeline.errors import StoreError


def test_equal_reports_differ_in_nothing(report: dict[str, Any]) -> None:
    found = compare(report, copy.deepcopy(report))
    assert found["machines"]["same"]
    assert found["environment"] == found["setup"] == found["figures"] == []
    assert {one["ratio"] for one in found["latency"]} == {1.0}


def test_what_differs_is_named_the_environment_first(report: dict[str, Any]) -> None:
    later = copy.deepcopy(report)
    later["environment"]["packages"]["torch"] = "2.16.0"
    later["environment"]["cpu"]["load_average"] = [9.0, 9.0, 9.0]
    later["environment"]["energy"]["idle_w"] = 9.0
    later["environment"]["heat"]["after"]["temperatures_c"] = {"x86_pkg_temp": 71.0}
    later["latency"]["settings"]["repeats"] = 5
    later["accuracy"]["student"]["test"]["miou"] = 0.8
    found = compare(report, later)
    assert found["environment"] == [{"name": "packages.torch", "then": "2.15.0", "now": "2.16.0"}]
    assert found["setup"] == [{"name": "latency.repeats", "then": 3, "now": 5}]
    assert [one["name"] for one in found["figures"]] == ["mIoU, student with distillation, test"]
    text = compare_text(found, ("old", "new"))
    assert text.index("packages.torch") < text.index("latency.repeats") < text.index("| 77.00 | 80.00 |")
    assert "WARNING" not in text


def test_two_machines_are_a_warning(report: dict[str, Any]) -> None:
    later = copy.deepcopy(report)
    later["environment"]["cpu"]["model"] = "Other CPU"
    assert "WARNING: measured on two machines, Some CPU and Other CPU" in compare_text(
        compare(report, later), ("a", "b")
    )


def test_a_board_can_be_compared_with_itself(board: dict[str, Any]) -> None:
    found = compare(board, board)
    assert len(found["latency"]) == 3
    assert found["figures"] == []


@pytest.fixture
def board_file(board: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "board.json"
    path.write_text(json.dumps(board))
    return path


def test_a_board_is_added_once_and_in_no_ratio(report: dict[str, Any], board_file: Path) -> None:
    before = copy.deepcopy(report["latency"]["ratios"])
    found = fold(fold(report, [board_file]), [board_file])
    assert [one["file"] for one in found["added"]] == ["board.json"]
    assert found["latency"]["ratios"] == before
    text = markdown(found)
    assert "## pspnet_resnet18 (width=0.5) on NVIDIA Jetson AGX Orin" in text
    rows = added_rows(found, found["added"][0]["report"])
    first, second = ([row[column] for column in (0, 1, 6, 10, 11, 12)] for row in rows if row[10] == "inference")
    assert first == ["student.fp32.labels tensorrt inference", "2.50", "76.50 (50 unknown)", "inference", "yes", "ok"]
    assert second == ["student.fp16.labels tensorrt inference", "1.50", "not measured", "inference", "no", "ok"]
    assert "student.fp32.labels.plan: built on Orin with TensorRT 10.3.0" in text


def of_pictures(report: dict[str, Any], board: dict[str, Any], here: str | None, there: str | None) -> dict[str, Any]:
    """The report with a board's added whose accuracy is of the pictures `there`."""
    if here:
        report["data"]["pairs_sha256"] = here
    if there:
        board["latency"]["rows"][0]["accuracy"]["pairs_sha256"] = there
    return {**report, "added": [{"file": "board.json", "sha256": "b" * 64, "report": board}]}


@pytest.mark.parametrize(
    ("here", "there", "told", "pictures"),
    [
        ("d" * 64, "d" * 64, "76.50 (50)", "same"),
        ("d" * 64, "e" * 64, "76.50 (50 other)", "other"),
        ("d" * 64, None, "76.50 (50 unknown)", "unknown"),
        (None, "d" * 64, "76.50 (50 unknown)", "unknown"),
    ],
)
def test_an_accuracy_of_other_pictures_stands_apart(
    report: dict[str, Any], board: dict[str, Any], here: str | None, there: str | None, told: str, pictures: str
) -> None:
    found = fold(fold(of_pictures(report, board, here, there), ()), ())
    assert f" {told} " in next(line for line in markdown(found).splitlines() if "tensorrt inference |" in line)
    assert [point.runtime for point in points(found)].count("tensorrt") == (pictures == "same")
    lines = [
        f"board.json: student.fp32.labels tensorrt inference: mIoU of {pictures} pictures, not of split test of "
        "streets: in no plot and under no budget"
    ]
    assert set_apart(found) == (lines if pictures != "same" else [])
    assert fold(found, ()) == found


def test_a_board_of_other_classes_is_not_added(report: dict[str, Any], board: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "board.json"
    board["bundle"]["classes"] = ["road", "pole"]
    path.write_text(json.dumps(board))
    assert fold(report, [path])["added"]
    board["bundle"]["classes"] = ["road", "sky"]
    path.write_text(json.dumps(board))
    with pytest.raises(StoreError, match=r"board\.json tells of other classes than this report"):
        fold(report, [path])


def test_without_an_engine_tensorrt_is_contract_tested(report: dict[str, Any]) -> None:
    text = markdown(report)
    assert "No engine was built: no GPU here." in text
    assert "contract-tested" in text
    assert "built on" not in text


def test_an_engine_counts_by_the_file_that_it_was_built_from(report: dict[str, Any], board: dict[str, Any]) -> None:
    rows = board["latency"]["rows"]
    assert [same_file(report, board, row) for row in rows] == [True, False, False]


def test_other_data_is_not_added(report: dict[str, Any], tmp_path: Path) -> None:
    other = {**report, "data": {**report["data"], "name": "fields"}}
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(StoreError, match="scores split test of fields, this report split test of streets"):
        fold(report, [tmp_path / "other.json"])


def test_other_pictures_of_the_same_split_are_not_added(report: dict[str, Any], tmp_path: Path) -> None:
    report["data"]["pairs_sha256"] = "d" * 64
    other = {**report, "data": {**report["data"], "pairs_sha256": "e" * 64}}
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(StoreError, match="scores other pictures as split test of streets"):
        fold(report, [tmp_path / "other.json"])


def test_other_classes_are_not_added(report: dict[str, Any], tmp_path: Path) -> None:
    other = {**report, "data": {**report["data"], "classes": ["road", "sky"]}}
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(StoreError, match="tells of other classes of streets"):
        fold(report, [tmp_path / "other.json"])


def test_nothing_is_added_to_a_board(board: dict[str, Any], board_file: Path) -> None:
    with pytest.raises(StoreError, match="not the other way round"):
        fold(board, [board_file])
