"""Reports are read, or refused in one line that says why."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from bench.board import SCHEMA_VERSION as BOARD_VERSION
from bench.report.reading import KINDS, identity, machine, read_report
from pipeline.errors import StoreError


def written(folder: Path, content: Any) -> Path:
    path = folder / "report.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_report_is_read_by_file_and_by_folder(report: dict[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path, report)
    assert read_report(path) == read_report(tmp_path) == report


def test_a_board_is_read(board: dict[str, Any], tmp_path: Path) -> None:
    assert read_report(written(tmp_path, board)) == board
    assert KINDS["board"] == BOARD_VERSION


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "{}", "\x00"])
def test_what_is_no_report_is_refused(content: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="report"):
        read_report(written(tmp_path, content))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read as a report"):
        read_report(tmp_path / "none.json")


@pytest.mark.parametrize("version", [1, 3, "2"])
def test_another_version_is_refused_by_number(report: dict[str, Any], version: Any, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"schema version {version}, this reads version 2"):
        read_report(written(tmp_path, {**report, "schema_version": version}))


def test_another_kind_is_refused(report: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="kind 'toaster'"):
        read_report(written(tmp_path, {**report, "kind": "toaster"}))


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("parity", "parity.files, parity.limits"),
        ("latency", "latency.settings, latency.rows, latency.ratios"),
        ("models", "models.student"),
    ],
)
def test_a_part_that_is_gone_or_empty_is_named(report: dict[str, Any], tmp_path: Path, part: str, told: str) -> None:
    for broken in ({**report, part: {}}, {name: value for name, value in report.items() if name != part}):
        with pytest.raises(StoreError, match=f"it lacks {told}"):
            read_report(written(tmp_path, broken))


def test_a_machine_is_its_board_or_its_cpu_with_its_gpus(report: dict[str, Any], board: dict[str, Any]) -> None:
    assert machine(report) == "Some CPU"
    assert machine(board) == "NVIDIA Jetson AGX Orin"
    report["environment"]["gpus"] = [{"name": "Tesla T4", "driver": "550"}]
    assert machine(report) == "Some CPU + Tesla T4"
    assert identity(report) != identity(board)


def test_another_power_mode_is_another_machine(board: dict[str, Any]) -> None:
    other = copy.deepcopy(board)
    other["environment"]["jetson"]["power_mode"] = {"name": "15W", "number": 1}
    assert identity(other) != identity(board)
