"""Attainable times by hand, and peaks of the real machine at a tiny size."""

import json
import sys
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from bench.complexity.count import complexity
from bench.roofline import peaks
from bench.roofline.command import command, main
from bench.roofline.peaks import Peak, Roof, Work, measure_roof, peak_of, torch_products
from bench.roofline.shares import attainable, dtype_of, shares

ONE = Peak(100.0, "torch mm", "64 x 64", 3)


def layer(macs: int, weights: int, activations: int, aux: bool = False) -> dict[str, Any]:
    by_kind = {"conv2d": macs, "transposed_conv": 0, "matmul": 0}
    return {"macs": by_kind, "weight_elements": weights, "activation_elements": activations, "aux": aux}


def row(name: str, file: str | None, p50_ms: float, role: str = "student", status: str = "ok") -> dict[str, Any]:
    measured = {"statistics": {"p50_ms": p50_ms}, "runtime": name.split()[-1]}
    return {"name": name, "file": file, "role": role, "status": status, **measured}


def test_each_layer_takes_the_longer_of_arithmetic_and_traffic() -> None:
    """100 GFLOP/s and 10 GB/s. 2 x 10^9 FLOP: 20 ms against 4 x 10^6 bytes: 0.4 ms. 2 x 10^6: 0.02 ms against 4 ms."""
    layers = [layer(10**9, 500_000, 500_000), layer(10**6, 0, 10**7), layer(10**12, 0, 0, aux=True)]
    least = attainable(layers, 100.0, 10.0, width=4, batch=1)
    assert least.ms == pytest.approx(20 + 4)
    assert least.compute_ms == pytest.approx(20)
    assert least.bound == "compute"
    assert least.flops == 2 * (10**9 + 10**6)
    assert least.bytes == 4 * (500_000 + 500_000 + 10**7)


def test_a_batch_reads_the_weights_once() -> None:
    layers = [layer(10**6, 10**7, 10**5)]
    least = attainable(layers, 100.0, 10.0, width=2, batch=8)
    assert least.bytes == 2 * (10**7 + 8 * 10**5)
    assert least.flops == 2 * 8 * 10**6
    assert least.bound == "memory"


@pytest.mark.parametrize(
    ("file", "dtype"),
    [
        ("model.safetensors", "float32"),
        ("student.fp32.labels.onnx", "float32"),
        ("student.fp16.labels.onnx", "float16"),
        ("student.int8-cpu.labels.onnx", "int8"),
        ("student.int8-tensorrt.logits.plan", "int8"),
        (None, "float32"),
    ],
)
def test_the_form_tells_the_dtype(file: str | None, dtype: str) -> None:
    assert dtype_of({"file": file}) == dtype


def test_a_narrow_dtype_may_use_a_wider_ones_arithmetic() -> None:
    roof = Roof("cpu", 1, {"float32": ONE, "float16": Peak(3.0, "torch mm", "64 x 64", 3)}, 10.0)
    assert roof.gflops("float16") == 100.0
    assert roof.gflops("int8") == 100.0
    assert roof.gflops("float32") == 100.0
    assert Roof("cpu", 1, {"bfloat16": ONE}, 10.0).gflops("float16") is None


def test_shares_are_of_rows_that_were_measured() -> None:
    roof = Roof("cpu", 1, {"float32": ONE}, 10.0)
    costs = {"student": {"layers": [layer(10**9, 1000, 0)]}}
    rows = [
        row("student torch", "model.safetensors", 40.0),
        row("broken", "a.fp32.onnx", 1.0, status="failed"),
        row("stranger", "b.fp32.onnx", 1.0, role="baseline"),
    ]
    (share,) = shares(roof, rows, costs, batch=1)
    assert share["share"] == pytest.approx(20 / 40)
    assert (share["bound"], share["compute_share"]) == ("compute", 1.0)
    assert share["attained_gflops"] == pytest.approx(50)
    assert share["attainable_gflops"] == pytest.approx(100)


@pytest.mark.parametrize(("device", "held_to_it"), [("cpu", "a openvino"), ("cuda", "a tensorrt")])
def test_a_row_is_held_to_the_roof_of_where_it_computed(device: str, held_to_it: str) -> None:
    costs = {"student": {"layers": [layer(10**9, 1000, 0)]}}
    rows = [row("a openvino", "a.fp32.onnx", 40.0), row("a tensorrt", "a.fp32.plan", 40.0)]
    (share,) = shares(Roof(device, 1, {"float32": ONE}, 10.0), rows, costs, batch=1)
    assert share["name"] == held_to_it


def test_the_highest_rate_of_all_sizes_that_fit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 2, 4 and 6 GFLOP in 2, 1 and 3 ms the second is quickest; a fourth of 400 GFLOP is not even tried."""
    now = 0.0

    def work(what: str, gflop: float, ms: float) -> Work:
        def call() -> None:
            nonlocal now
            now += ms / 1e3

        return Work(what, round(gflop * 1e9), call)

    def refuse() -> None:
        raise AssertionError("three calls of it do not fit")

    def timed(call: Any, device: str) -> float:
        start = now
        call()
        return now - start

    monkeypatch.setattr(peaks, "timed", timed)
    monkeypatch.setattr(peaks.time, "perf_counter", lambda: now)
    works = [work("a", 2, 2), work("b", 4, 1), work("c", 6, 3), Work("d", 400 * 10**9, refuse)]
    found = peak_of(works, "counted", "cpu", seconds=0.08)
    assert found == Peak(pytest.approx(4000.0), "counted", "b", pytest.approx(10 + 20 + 7, abs=6))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(peaks.SIDES, "cpu", (16, 32))
    monkeypatch.setitem(peaks.CONVOLUTIONS, "cpu", ((1, 8, 8), (1, 8, 16)))
    monkeypatch.setitem(peaks.COPY_BYTES, "cpu", 2**16)


@pytest.mark.usefixtures("tiny")
def test_this_machine_has_a_roof_and_its_settings_stay() -> None:
    def settings() -> tuple[int, bool, bool]:
        switches = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        return torch.get_num_threads(), *switches

    before = settings()
    roof = measure_roof("cpu", 1, seconds=0.002)
    assert settings() == before
    assert {"float32", "int8"} <= set(roof.peaks)
    assert all(peak.gflops > 0 and peak.calls >= 2 for peak in roof.peaks.values())
    assert roof.copy_gb_s > 0
    assert json.loads(json.dumps(roof.to_json())) == roof.to_json()


@pytest.mark.usefixtures("tiny")
def test_convolutions_and_products_compute_what_they_are_counted_as() -> None:
    """Multiply-accumulates by hand: 8 x 8 maps of 8 channels in and out under 9 taps, the border's zeros counted."""
    found = {by: next(works) for dtype, by, works in peaks.candidates("cpu", 1) if dtype == "float32"}
    assert {by: work.flops for by, work in found.items()} == {
        "torch mm": 2 * 16**3,
        "torch conv2d": 2 * 8 * 8 * 8 * 8 * 9,
        "onnxruntime MatMul": 2 * 16**3,
        "onnxruntime Conv": 2 * 8 * 8 * 8 * 8 * 9,
    }
    shapes = {by: np.asarray(work.call()).squeeze().shape for by, work in found.items()}
    assert shapes == {"torch mm": (16, 16), "onnxruntime MatMul": (16, 16)} | dict.fromkeys(
        ("torch conv2d", "onnxruntime Conv"), (8, 8, 8)
    )


@pytest.mark.usefixtures("tiny")
def test_the_program_prints_one_json_document_last() -> None:
    words = ["--device", "cpu", "--threads", "1", "--seconds", "0.001", "--net", "espnet", "--size", "32x64"]
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 0, done.output
    found = json.loads(done.output.splitlines()[-1])
    assert found["roof"]["threads"] == 1
    least = found["networks"][0]["attainable"]["float32"]
    layers = complexity("espnet", 19, (32, 64))["layers"]
    assert least["bytes"] == 4 * sum(one["weight_elements"] + one["activation_elements"] for one in layers)
    assert least["ms"] > 0


@pytest.mark.usefixtures("tiny")
def test_json_alone() -> None:
    done = CliRunner().invoke(command, ["--device", "cpu", "--threads", "1", "--seconds", "0.001", "--json"])
    assert json.loads(done.output)["networks"] == []


def test_a_dtype_without_a_kernel_is_left_out_and_too_little_memory_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(error: Exception) -> Any:
        def refuse(*_: object, **__: object) -> None:
            raise error

        return refuse

    monkeypatch.setattr(torch, "mm", raising(RuntimeError('"addmm_impl" not implemented for it')))
    assert peak_of(torch_products("float16", "cpu"), "torch mm", "cpu", 0.001) is None
    monkeypatch.setattr(torch, "mm", raising(torch.OutOfMemoryError("no room")))
    with pytest.raises(torch.OutOfMemoryError):
        peak_of(torch_products("float32", "cpu"), "torch mm", "cpu", 0.001)


@pytest.mark.usefixtures("tiny")
def test_without_onnxruntime_or_with_one_that_refuses_the_peaks_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    roof = measure_roof("cpu", 1, seconds=0.002)
    assert {"float32", "int8"} <= set(roof.peaks) and all(peak.by.startswith("torch") for peak in roof.peaks.values())

    def refuse() -> None:
        # The base of all errors of onnxruntime.
        raise Exception("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED")

    assert peak_of([Work("a", 1, refuse)], "onnxruntime MatMulInteger", "cpu", 0.001) is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--net", "espnett"], "espnet"),
        (["--size", "32"], "HEIGHTxWIDTH"),
        (["--seconds", "0"], "--seconds"),
        (["--threads", "0"], "--threads"),
        *([] if torch.cuda.is_available() else [(["--device", "cuda"], "--device cpu")]),
    ],
)
@pytest.mark.usefixtures("tiny")
def test_mistakes_are_one_line(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seconds", "0.001", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ") and err.count("\n") == 1 and told in err
