"""Words on roofline, energy, memory and a Jetson, out of reports that have them and of older ones that do not."""

from typing import Any

import pytest

from bench.report.machine_words import (
    extra_table,
    extra_words,
    heat_warnings,
    machine_rows,
    peak_rows,
    roofline_rows,
    roofline_words,
)
from bench.report.markdown import added_rows, markdown

Report = dict[str, Any]


def test_a_share_stands_beside_what_bounds_it(report: Report) -> None:
    found = report["roofline"]
    expected = ["student torch", "31.0", "3.72", "12.0", "1.33", "6.50", "float32", "memory bandwidth"]
    assert roofline_rows(found) == [expected]
    assert peak_rows(found) == [["float32", "torch mm, 1024 x 1024", "80.0"]]
    assert "| student torch | 31.0 | 3.72 |" in markdown(report)


def test_a_roofline_of_the_first_form_is_still_read(report: Report) -> None:
    report["roofline"] = {
        "peaks": {"float32": {"gflops": 80.0}},
        "copy_gb_s": 11.5,
        "models": [{"name": "student torch", "share": 0.5, "bound": "compute"}],
    }
    assert roofline_rows(report["roofline"]) == [["student torch", "50.0", "-", "-", "-", "-", "-", "arithmetic"]]
    assert "## Roofline" in markdown(report)


def test_the_words_on_a_roofline_are_those_of_its_report(report: Report) -> None:
    found = report["roofline"]
    older = roofline_words(found)
    assert "many large matrix products, and a large copy" in older and "above 100 %" not in older
    found["peaks"]["float32"] = {"gflops": 80.0, "by": "torch conv2d", "what": "3 x 3, 256 channels, 16 x 16"}
    found["models"][0]["share"] = 1.13
    newer = roofline_words(found)
    assert "matrix products and convolutions, and a large copy" in newer and "A share above 100 % means" in newer


def test_without_a_roofline_there_is_no_section(report: Report) -> None:
    report["roofline"] = None
    assert "## Roofline" not in markdown(report)


def test_energy_and_memory_name_what_they_are_of(report: Report) -> None:
    header, rows = extra_table(report["latency"]["rows"])
    assert header == ["candidate", "energy, J an inference", "peak memory, MiB"]
    assert rows == [["student.fp32.logits onnxruntime", "0.500", "120"]]
    assert "Energy is not readable: no sensor." in extra_words(report)
    report["environment"]["energy"] = {"sensor": "RAPL", "covers": "the packages", "idle_w": 9.0, "why": None}
    assert "Energy by RAPL: of the packages, idle power included." in extra_words(report)
    report["latency"]["settings"]["device"] = "cuda"
    assert extra_words(report).startswith("GPU memory")
    assert "| student.fp32.logits onnxruntime | 0.500 | 120 |" in markdown(report)


def test_a_column_that_nothing_fills_is_left_out(report: Report) -> None:
    for row in report["latency"]["rows"]:
        row["energy_j"] = None
    header, rows = extra_table(report["latency"]["rows"])
    assert header == ["candidate", "peak memory, MiB"]
    assert rows == [["student.fp32.logits onnxruntime", "120"]]
    assert extra_table([]) == (["candidate"], [])


def test_a_board_tells_its_power_mode_and_its_heat(board: Report) -> None:
    rows = dict(machine_rows(board["environment"]))
    assert rows == {
        "power mode": "MAXN (0)",
        "clocks": "jetson_clocks wants root",
        "GPU clock": "306 of 1300 MHz at start",
        "L4T, JetPack": "36.3.0, 6.0+b106",
        "energy": "INA3221 VDD_IN, the module, 7.25 W at rest",
        "temperatures, C": "gpu-thermal 45 to 63",
        "slow-down or heat": "slowed down 2 times meanwhile: over-current",
    }


@pytest.mark.parametrize(("held", "words"), [(True, "held by jetson_clocks"), (False, "free within the mode")])
def test_clocks_in_words(board: Report, held: bool, words: str) -> None:
    board["environment"]["jetson"]["clocks_locked"] = held
    assert dict(machine_rows(board["environment"]))["clocks"] == words


def test_cuda_is_told_only_with_a_driver() -> None:
    assert machine_rows({"cuda": {"driver_serves": None, "runtime": "13.0", "toolkit": None}}) == []
    (row,) = machine_rows({"cuda": {"driver_serves": "12.6", "runtime": None, "toolkit": "12.6.11"}})
    assert row == ["CUDA", "driver serves 12.6, runtime -, toolkit 12.6.11"]


def test_reports_from_before_say_nothing() -> None:
    assert machine_rows({}) == []
    assert heat_warnings({"environment": {}}) == []


def test_an_added_row_shows_energy_and_memory(report: Report, board: Report) -> None:
    board["latency"]["rows"][0] |= {"energy_j": 0.05, "peak_mib": 210.0}
    rows = added_rows(report, board)
    assert rows[0][-5:] == ["0.050", "210", "inference", "yes", "ok"]
    assert rows[1][-5:-3] == ["-", "-"]
