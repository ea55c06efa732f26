"""A whole report and a board's, written by hand: what the tests of texts, pages and comparisons read."""

import base64
import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

Report = dict[str, Any]
SHA = {name: name * 64 for name in "abcdef"}


def layer(name: str, macs: int, aux: bool = False) -> dict[str, Any]:
    by_kind = {"conv2d": macs, "transposed_conv": 0, "matmul": 0}
    return {"name": name, "type": "Conv2d", "params": 9, "aux": aux, "macs": by_kind, "output": [1, 8, 4, 8]}


def cost(params: int, macs: int) -> dict[str, Any]:
    return {
        "params": params,
        "params_with_aux": params + 100_000,
        "macs": macs,
        "macs_with_aux": macs + 1_000_000,
        "transposed_conv_macs": 0,
        "matmul_macs": 0,
        "flops": 2 * macs,
        "layers": [layer("backbone.conv1", macs // 4), layer("head", macs - macs // 4), layer("aux_head", 7, aux=True)],
    }


def scores(road: float, pole: float | None) -> dict[str, Any]:
    found = [value for value in (road, pole) if value is not None]
    classes = {"road": road, "pole": pole}
    return {"test": {"images": 8, "miou": sum(found) / len(found), "pixel_accuracy": 0.9, "per_class_iou": classes}}


def statistics(p50_ms: float, n: int = 15) -> dict[str, Any]:
    names = ("min_ms", "p50_ms", "p90_ms", "p95_ms", "max_ms", "mean_ms")
    return {**dict.fromkeys(names, p50_ms), "p99_ms": None, "sd_ms": 0.1, "n": n}


def row(name: str, p50_ms: float, miou: float | None, **more: Any) -> dict[str, Any]:
    steady = [[p50_ms * (1 + 0.001 * (i - 2)) for i in range(5)] for _ in range(3)]
    return {
        "name": name,
        "status": "ok",
        "why": "",
        "load_ms": 12.0,
        "first_ms": 34.0,
        "statistics": statistics(p50_ms),
        "images_per_s": 1000 / p50_ms,
        "warnings": [],
        "rounds_ms": steady,
        "role": "student",
        "runtime": "onnxruntime",
        "file": f"{name.split()[0]}.onnx",
        "output": "labels",
        "miou": miou,
        "miou_images": None if miou is None else 8,
        **more,
    }


def missing(name: str, status: str, why: str) -> dict[str, Any]:
    nothing = {"load_ms": None, "first_ms": None, "statistics": None, "images_per_s": None, "rounds_ms": []}
    return row(name, 1.0, None, runtime="tensorrt", file=None, output=None, status=status, why=why) | nothing


def parity_file(file: str, withheld: str | None = None) -> dict[str, Any]:
    return {
        "file": file,
        "form": file.split(".")[1],
        "runtime": "onnxruntime 1.31.1 CPUExecutionProvider",
        "images": 4,
        "max_abs_logit_error": None,
        "mean_abs_logit_error": None,
        "pixels": 100,
        "argmax_agreement": 0.9999,
        "near_ties": 3,
        "violations": 0,
        "miou_torch": 0.77,
        "miou_exported": 0.77,
        "miou_delta_points": 0.0,
        "miou_images": 8,
        "withheld": withheld,
    }


def environment(**cpu: Any) -> dict[str, Any]:
    known = {"model": "Some CPU", "board": None, "cores": 4, "usable_cores": 2, "threads": 2}
    return {
        "cpu": {**known, "governor": None, "clock_mhz": 2200.0, "load_average": [0.5, 0.25, 0.1], **cpu},
        "memory_gib": 15.6,
        "os": {"name": "Debian", "kernel": "6.1", "machine": "x86_64"},
        "python": "3.11.7",
        "packages": {"torch": "2.15.0", "tensorrt": None},
        "gpus": [],
    }


def energy(sensor: str | None, why: str | None) -> dict[str, Any]:
    covers, idle_w = ("the module", 7.25) if sensor else (None, None)
    return {"sensor": sensor, "covers": covers, "idle_w": idle_w, "why": why}


def heat(before: dict[str, float], after: dict[str, float], warnings: list[str]) -> dict[str, Any]:
    found = {"throttling": [], "slowdowns": {}}
    return {
        "before": {"temperatures_c": before, **found},
        "after": {"temperatures_c": after, **found},
        "warnings": warnings,
    }


JETSON = {
    "l4t": "36.3.0",
    "jetpack": "6.0+b106",
    "power_mode": {"name": "MAXN", "number": 0},
    "clocks": {},
    "clocks_locked": None,
    "clocks_why": "jetson_clocks wants root",
    "gpu_clock": {"min_mhz": 306.0, "max_mhz": 1300.5, "now_mhz": 306.0},
}


def png() -> str:
    content = io.BytesIO()
    Image.new("RGB", (8, 4), (10, 120, 40)).save(content, "PNG")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def pictures() -> dict[str, Any]:
    shown = {"size_px": [4, 8], "picture": png(), "label": png(), "predictions": {"teacher": png(), "student": png()}}
    items = [
        {"rank": "worst", "image": "a.png", "miou": 0.2, **shown},
        {"rank": "best", "image": "b.png", "miou": 0.9, **shown},
    ]
    return {"split": "test", "scored_images": 8, "colours": {"road": [128, 64, 128], "pole": [1, 2, 3]}, "items": items}


BENCH: Report = {
    "schema_version": 2,
    "kind": "bench",
    "data": {"name": "streets", "classes": ["road", "pole"], "size_px": [32, 64], "split": "test"},
    "models": {
        "teacher": {"net": "pspnet_resnet101", "args": {}, "files": {"model.safetensors": SHA["a"]}},
        "baseline": {"net": "pspnet_resnet18", "args": {"width": 0.5}, "files": {"model.safetensors": SHA["b"]}},
        "student": {"net": "pspnet_resnet18", "args": {"width": 0.5}, "files": {"model.safetensors": SHA["c"]}},
    },
    "accuracy": {"teacher": scores(0.9, 0.7), "baseline": scores(0.8, None), "student": scores(0.86, 0.68)},
    "complexity": {"teacher": cost(8_000_000, 40_000_000), "student": cost(2_000_000, 8_000_000)},
    "latency": {
        "settings": {"batch": 1, "repeats": 3, "device": "cpu"},
        "rows": [
            row("teacher torch", 40.0, 0.8, role="teacher", runtime="torch", file="model.safetensors"),
            row("student torch", 12.0, 0.77, runtime="torch", file="model.safetensors", warnings=["unsteady"]),
            row("student.fp32.labels onnxruntime", 9.0, 0.77),
            row("student.fp32.logits onnxruntime", 8.0, 0.77, output="logits", energy_j=0.5, peak_mib=120.0),
            row("student.int8-cpu.labels onnxruntime", 4.0, 0.76),
            missing("student tensorrt", "skipped", "no GPU here"),
        ],
        "ratios": [
            {
                "numerator": "teacher torch",
                "denominator": "student torch",
                "ratio": 3.33,
                "low": 3.2,
                "high": 3.5,
                "confidence": 0.95,
                "rounds": 3,
            }
        ],
    },
    "parity": {
        "split": "test",
        "limits": {"fp32": {"max_logit_error": 1e-3}},
        "files": [
            parity_file("student.fp32.labels.onnx"),
            parity_file("student.fp16.labels.onnx", "labels agree on 0.9 of the pixels, at least 0.995 must"),
        ],
    },
    "environment": {**environment(), "energy": energy(None, "no sensor"), "heat": heat({}, {}, [])},
    "engines": [],
    "pictures": pictures(),
    "roofline": {
        "device": "cpu",
        "threads": 2,
        "peaks": {"float32": {"gflops": 80.0, "by": "torch mm", "side": 1024, "calls": 9}},
        "copy_gb_s": 11.5,
        "models": [
            {
                "name": "student torch",
                "dtype": "float32",
                "share": 0.31,
                "bound": "memory",
                "compute_share": 0.2,
                "attainable_ms": 3.72,
                "p50_ms": 12.0,
                "attainable_gflops": 4.3,
                "attained_gflops": 1.33,
                "flops_per_byte": 6.5,
            }
        ],
    },
    "provenance": {
        "artifacts": {"teacher": {"key": SHA["d"], "digest": SHA["e"]}},
        "files": {"student.fp32.labels.onnx": SHA["f"]},
    },
}

BOARD: Report = {
    "schema_version": 1,
    "kind": "board",
    "bundle": {"manifest_sha256": SHA["a"], "network": {"net": "pspnet_resnet18", "args": {"width": 0.5}}},
    "environment": {
        **environment(model="ARM", board="NVIDIA Jetson AGX Orin"),
        "jetson": JETSON,
        "energy": energy("INA3221 VDD_IN", None),
        "heat": heat({"gpu-thermal": 45.0}, {"gpu-thermal": 63.0}, ["slowed down 2 times meanwhile: over-current"]),
    },
    "latency": {
        "settings": {"batch": 1, "threads": None, "repeats": 3},
        "rows": [
            row(
                "student.fp32.labels tensorrt inference",
                2.5,
                None,
                runtime="tensorrt",
                quantity="inference",
                sha256=SHA["b"],
                accuracy={"miou": 0.765, "miou_images": 50},
                compute_ms=statistics(2.1),
            ),
            row("student.fp32.labels tensorrt pipeline", 9.5, None, runtime="tensorrt", quantity="pipeline"),
            row(
                "student.fp16.labels tensorrt inference",
                1.5,
                None,
                runtime="tensorrt",
                quantity="inference",
                sha256=SHA["c"],
                accuracy="accuracy of this file: not measured; run python evaluate.py",
            ),
        ],
        "ratios": [],
    },
    "engines": [
        {
            "sha256": SHA["b"],
            "onnx": {"file": "student.fp32.labels.onnx", "sha256": SHA["f"]},
            "tensorrt": "10.3.0",
            "gpu": {"name": "Orin", "compute_capability": "8.7", "cuda_version": "12.6"},
        }
    ],
}


@pytest.fixture
def report() -> Report:
    """A report of stage bench with every part."""
    return copy.deepcopy(BENCH)


@pytest.fixture
def board() -> Report:
    """A report that a Jetson wrote."""
    return copy.deepcopy(BOARD)


@pytest.fixture
def make_row() -> Callable[..., dict[str, Any]]:
    """`make_row(name, p50_ms, miou, **changes)`."""
    return row
