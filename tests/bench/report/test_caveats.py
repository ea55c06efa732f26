"""What a reader is warned of, from reports written by hand."""

from typing import Any

from bench.report.caveats import caveats, likewise
from bench.report.html.page import page
from bench.report.markdown import markdown

Report = dict[str, Any]


def test_remarks_that_differ_in_their_figures_share_a_line() -> None:
    notes = [
        ("a", "variation 12.2% is above 2.5%"),
        ("b", "the warm-up ended"),
        ("c", "variation 20% is above 2.5%"),
        ("d", "variation 12.2% is above 2.5%"),
    ]
    assert likewise(notes) == ["a: variation 12.2% is above 2.5%; likewise c (20%), d", "b: the warm-up ended"]


def test_of_many_alike_a_few_are_named() -> None:
    assert likewise([(name, "the warm-up ended") for name in "abcdefgh"]) == [
        "a: the warm-up ended; likewise b, c, d, e, f, 2 more"
    ]


def test_a_figure_that_is_not_there_is_another_remark() -> None:
    assert likewise([("a", "batch 1 of 2"), ("b", "batch 12"), ("c", "batch")]) == [
        "a: batch 1 of 2", "b: batch 12", "c: batch",
    ]  # fmt: skip


def test_what_failed_comes_first_and_unsteady_rows_last(report: Report) -> None:
    rows = report["latency"]["rows"]
    rows[0]["warnings"] = ["coefficient of variation 12.2% is above 2.5%"]
    rows[1]["warnings"] = ["coefficient of variation 20.1% is above 2.5%"]
    lines = caveats(report)
    assert lines[-1] == (
        f"{rows[0]['name']}: coefficient of variation 12.2% is above 2.5%; likewise {rows[1]['name']} (20.1%)"
    )
    wrong = [row["name"] for row in rows if row["status"] != "ok"]
    assert wrong and lines[0].startswith(f"{wrong[0]}: ")
    text = markdown(report)
    assert "## Read with care" in text and f"- {lines[-1]}" in text
    assert "Read with care" in page(report)


def test_a_form_of_tensorrt_in_another_runtime_is_no_figure_of_what_ships(report: Report) -> None:
    assert not any("made for TensorRT" in line for line in caveats(report))
    row = next(row for row in report["latency"]["rows"] if row["status"] == "ok" and row["role"] == "student")
    row |= {"file": "student.int8-tensorrt.labels.onnx", "runtime": "onnxruntime"}
    assert any(line.startswith(f"{row['name']}: made for TensorRT") for line in caveats(report))
    row["runtime"] = "tensorrt"
    assert not any("made for TensorRT" in line for line in caveats(report))


def test_further_batches_are_named_in_their_warnings(report: Report) -> None:
    row = {**report["latency"]["rows"][0], "warnings": ["the warm-up ended"]}
    report["latency"]["more"] = [{"batch": 4, "size_px": [32, 64], "rows": [row], "ratios": []}]
    assert f"{row['name']}, batch 4 at 32x64: the warm-up ended" in caveats(report)


def test_what_failed_at_a_further_batch_is_told_and_what_was_skipped_there_is_not(report: Report) -> None:
    row = {**report["latency"]["rows"][0], "warnings": []}
    rows = [row | {"status": "failed", "why": "out of memory"}, row | {"status": "skipped", "why": "made for batch 1"}]
    report["latency"]["more"] = [{"batch": 64, "size_px": [32, 64], "rows": rows, "ratios": []}]
    assert f"{row['name']}, batch 64 at 32x64: failed, out of memory" in caveats(report)
    assert not any("made for batch 1" in line for line in caveats(report))


def test_files_of_another_split_than_the_networks_are_told(report: Report) -> None:
    assert not any("not comparable" in line for line in caveats(report))
    report["parity"]["split"] = "val"
    told = "mIoU of exported files is of split val, in torch it is of split test: not comparable"
    assert told in caveats(report)


def test_without_anything_to_say_there_is_no_section(report: Report) -> None:
    rows = report["latency"]["rows"]
    report["latency"]["rows"] = [row for row in rows if row["status"] == "ok" and row["miou"] is not None]
    report["parity"]["files"] = [file for file in report["parity"]["files"] if not file["withheld"]]
    report["environment"]["heat"] = None
    for row in report["latency"]["rows"]:
        row["warnings"] = []
    assert caveats(report) == []
    assert "Read with care" not in markdown(report) + page(report)
