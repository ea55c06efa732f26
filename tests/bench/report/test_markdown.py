"""Text of a report from data written by hand."""

import copy
from typing import Any

import pytest

from bench.report.markdown import markdown, number, ratio_line, times
from bench.report.summary import shipped, summary


def cost(params: int, params_with_aux: int, macs: int, macs_with_aux: int) -> dict[str, Any]:
    return {
        "params": params,
        "params_with_aux": params_with_aux,
        "macs": macs,
        "macs_with_aux": macs_with_aux,
        "transposed_conv_macs": 0,
        "matmul_macs": 54_819_840,
        "flops": 2 * macs,
    }


def scores(miou: float, road: float, pole: float | None) -> dict[str, Any]:
    per_class_iou = {"road": road, "pole": pole}
    return {"test": {"images": 8, "miou": miou, "pixel_accuracy": 0.9, "per_class_iou": per_class_iou}}


def latency_row(name: str, p50_ms: float, **more: Any) -> dict[str, Any]:
    figures = dict.fromkeys(("min_ms", "p90_ms", "p95_ms", "max_ms", "mean_ms", "sd_ms"), p50_ms)
    return {
        "name": name,
        "status": "ok",
        "why": "",
        "load_ms": 12.0,
        "first_ms": 34.0,
        "statistics": {**figures, "p50_ms": p50_ms, "p99_ms": None, "n": 42},
        "images_per_s": 1000 / p50_ms,
        "warnings": [],
        "role": name.split()[0],
        "runtime": name.split()[-1],
        "file": "model.safetensors",
        "output": "logits",
        "miou": None,
        "miou_images": None,
        **more,
    }


def model(net: str, **args: float) -> dict[str, Any]:
    return {"net": net, "args": args, "files": {"model.safetensors": "ab" * 32}}


def missing(name: str, status: str, why: str) -> dict[str, Any]:
    nothing = {"load_ms": None, "first_ms": None, "statistics": None, "images_per_s": None}
    return latency_row(name, 1.0) | nothing | {"status": status, "why": why}


REPORT: dict[str, Any] = {
    "schema_version": 1,
    "data": {"name": "streets", "classes": ["road", "pole"], "size_px": [512, 1024], "split": "test"},
    "models": {"teacher": model("pspnet_resnet101"), "student": model("pspnet_resnet18", width=1.0)},
    "accuracy": {
        "teacher": scores(0.785, 0.98, 0.59),
        "baseline": scores(0.751, 0.97, None),
        "student": scores(0.773, 0.975, 0.571),
    },
    "complexity": {
        "teacher": cost(65_707_475, 70_437_350, 535_285_184_000, 574_932_147_200),
        "student": cost(12_770_515, 13_068_262, 123_338_627_456, 125_831_856_896),
    },
    "latency": {
        "settings": {"batch": 1, "repeats": 5, "device": "cpu"},
        "rows": [
            latency_row("teacher torch", 4840.0, miou=0.785, miou_images=8),
            latency_row("student torch", 1100.0, warnings=["coefficient of variation 4.0%"]),
            missing("student fp16 onnxruntime", "failed", "RuntimeError: no kernel"),
            missing("student tensorrt", "skipped", "no engine"),
        ],
        "ratios": [
            {
                "numerator": "teacher torch",
                "denominator": "student torch",
                "ratio": 4.4,
                "low": 4.31,
                "high": 4.52,
                "confidence": 0.95,
                "rounds": 5,
            }
        ],
    },
    "parity": {
        "split": "test",
        "limits": {"fp32": {"max_logit_error": 1e-3, "max_violations": 0}},
        "files": [
            {
                "file": "student.fp32.labels.onnx",
                "runtime": "onnxruntime 1.31.1 CPUExecutionProvider",
                "images": 4,
                "max_abs_logit_error": None,
                "mean_abs_logit_error": 1.2e-7,
                "pixels": 100,
                "argmax_agreement": 0.99995,
                "near_ties": 3,
                "violations": 0,
                "miou_torch": 0.773,
                "miou_exported": 0.7731,
                "miou_delta_points": 0.01,
                "miou_images": 8,
            }
        ],
    },
    "environment": {
        "cpu": {
            "model": "Some CPU",
            "board": None,
            "cores": 4,
            "usable_cores": 2,
            "threads": 2,
            "governor": None,
            "clock_mhz": 2200.118,
            "load_average": [0.5, 0.25, 0.1],
        },
        "memory_gib": 15.6,
        "os": {"name": "Debian", "kernel": "6.1", "machine": "x86_64"},
        "python": "3.11.7",
        "packages": {"torch": "2.15.0", "tensorrt": None},
        "gpus": [{"name": "Tesla T4", "driver": "550.54"}],
    },
    "provenance": {
        "artifacts": {"teacher": {"key": "12" * 32, "digest": "34" * 32}},
        "files": {"student.fp32.labels.onnx": "cd" * 32},
    },
}


def line_with(text: str, *parts: str) -> str:
    (line,) = [line for line in text.splitlines() if all(part in line for part in parts)]
    return line


def test_summary_sentence() -> None:
    assert summary(REPORT) == "5.4x fewer parameters, 4.6x fewer MACs, 4.4x faster in torch, -1.2 mIoU"


def with_file(output: str, ratio: float, **more: Any) -> dict[str, Any]:
    """The report with a file of the student measured beside the teacher in onnxruntime."""
    report = copy.deepcopy(REPORT)
    student = f"student.int8-cpu.{output} onnxruntime"
    scored = {"role": "student", "output": output, "miou": 0.771, "miou_images": 8}
    report["latency"]["rows"] += [
        latency_row("teacher onnxruntime", 900.0),
        latency_row(student, 100.0, **scored | more),
    ]
    known = report["latency"]["ratios"][0]
    names = {"numerator": "teacher onnxruntime", "denominator": student}
    report["latency"]["ratios"].append(known | names | {"ratio": ratio})
    return report


def test_summary_tells_of_the_file_that_ships_beside_the_teacher_in_its_runtime() -> None:
    assert summary(with_file("labels", 9.0)) == (
        "5.4x fewer parameters, 4.6x fewer MACs, 4.4x faster in torch, -1.2 mIoU; "
        "student.int8-cpu.labels in onnxruntime: 9.0x faster than the fp32 teacher there, -1.4 mIoU"
    )
    alone = "in onnxruntime: 9.0x faster than the fp32 teacher there"
    assert summary(with_file("labels", 9.0, miou_images=3)).endswith(alone)
    other_split = with_file("labels", 9.0)
    other_split["parity"]["split"] = "val"
    assert summary(other_split).endswith(alone)
    assert summary(with_file("labels", 9.0, miou=None)).endswith("torch, -1.2 mIoU")


def test_of_the_files_that_ship_labels_come_first_then_the_quickest() -> None:
    report = with_file("labels", 9.0)
    other = with_file("logits", 11.0)
    report["latency"]["rows"].append(other["latency"]["rows"][-1])
    report["latency"]["ratios"].append(other["latency"]["ratios"][-1])
    found = shipped(report)
    assert found is not None and (found.name, found.runtime, found.ratio["ratio"]) == (
        "student.int8-cpu.labels",
        "onnxruntime",
        9.0,
    )
    assert (found.teacher_ms, found.student_ms) == (900.0, 100.0)
    assert found.points == pytest.approx(-1.4)
    assert shipped(REPORT) is None


def test_a_form_of_tensorrt_ships_in_no_other_runtime() -> None:
    assert shipped(with_file("labels", 9.0, file="student.int8-tensorrt.labels.onnx")) is None


def test_the_headline_claims_no_speed_that_was_not_shown() -> None:
    report = with_file("labels", 1.02)
    for ratio in report["latency"]["ratios"]:
        ratio |= {"ratio": 1.02, "low": 0.97, "high": 1.05}
    assert summary(report) == (
        "5.4x fewer parameters, 4.6x fewer MACs, not shown to be faster in torch, -1.2 mIoU; "
        "student.int8-cpu.labels in onnxruntime: not shown to be faster than the fp32 teacher there, -1.4 mIoU"
    )


def test_a_ratio_whose_interval_holds_1_shows_no_difference() -> None:
    ratio = REPORT["latency"]["ratios"][0] | {"ratio": 1.02, "low": 0.97, "high": 1.05}
    assert "no difference shown, 95% interval of the ratio 0.97 to 1.05" in ratio_line(ratio)


def test_summary_leaves_out_what_was_not_measured() -> None:
    report = copy.deepcopy(REPORT)
    report["latency"]["ratios"] = []
    report["accuracy"] = {}
    assert summary(report) == "5.4x fewer parameters, 4.6x fewer MACs"


def test_summary_has_no_negative_zero() -> None:
    report = copy.deepcopy(REPORT)
    report["accuracy"]["student"] = scores(0.7848, 0.98, 0.59)
    assert summary(report).endswith(", +0.0 mIoU")


@pytest.mark.parametrize(("ratio", "text"), [(4.44, "4.4x faster"), (1.0, "1.0x faster"), (0.5, "2.0x slower")])
def test_times(ratio: float, text: str) -> None:
    assert times(ratio, "faster", "slower") == text


def test_accuracy_names_all_three_models() -> None:
    text = markdown(REPORT)
    assert "| class | teacher | student without distillation | student with distillation |" in text
    assert "| **mIoU** | **78.50** | **75.10** | **77.30** |" in text
    assert "| road | 98.00 | 97.00 | 97.50 |" in text
    assert "| pole | 59.00 | - | 57.10 |" in text


def test_accuracy_without_baseline_and_with_a_second_split() -> None:
    report = copy.deepcopy(REPORT)
    del report["accuracy"]["baseline"]
    for values in report["accuracy"].values():
        values["val"] = values["test"] | {"images": 5}
    text = markdown(report)
    assert "without distillation" not in text
    assert text.index("Split `test`, 8 images") < text.index("Split `val`, 5 images")
    assert text.count("| road |") == 1


def test_complexity_has_both_conventions() -> None:
    text = markdown(REPORT)
    assert "| pspnet_resnet101 | paper | 70.437 | 574.932 | - | - |" in text
    assert "| pspnet_resnet18 (width=1.0) | deployed | 12.771 | 123.339 | 0.055 | 246.677 |" in text


def test_latency_rows() -> None:
    text = markdown(REPORT)
    assert "| teacher torch | 4840 | 4840 | 4840 | - | 42 | 78.50 (8) |" in text
    assert "| 0.207 | 12.0 | 34.0 | logits | ok |" in line_with(text, "| teacher torch |")
    assert "failed (RuntimeError: no kernel)" in line_with(text, "| student fp16 onnxruntime |")
    assert "skipped (no engine)" in line_with(text, "| student tensorrt |")
    assert "- student torch: coefficient of variation 4.0%" in text
    ratio = line_with(text, "student torch against teacher torch: 4.4x faster")
    assert "95% interval of the ratio 4.31 to 4.52" in ratio


def test_parity_environment_and_provenance() -> None:
    text = markdown(REPORT)
    assert "| student.fp32.labels.onnx | 4 | - | 1.2e-07 | 99.9950 | 3 | 0 | 77.300 | 77.310 | 8 | published |" in text
    assert "Limits: fp32 max_logit_error 0.001, max_violations 0." in text
    assert "| CPU | Some CPU, 2 of 4 cores, 2 threads used |" in text
    assert "| tensorrt | not installed |" in text
    assert "| GPU | Tesla T4, driver 550.54 |" in text
    assert "board" not in text
    assert f"| teacher | artifact {'12' * 32} | {'34' * 32} |" in text
    assert f"| student with distillation | model.safetensors | {'ab' * 32} |" in text
    assert f"| exported student | student.fp32.labels.onnx | {'cd' * 32} |" in text


def test_cells_cannot_break_a_table() -> None:
    report = copy.deepcopy(REPORT)
    report["latency"]["rows"][2]["why"] = "a | b"
    assert r"failed (a \| b)" in markdown(report)


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.01234, "0.012"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1234")]
)
def test_numbers_keep_three_digits(value: float | None, text: str) -> None:
    assert number(value) == text
