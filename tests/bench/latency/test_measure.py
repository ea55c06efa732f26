"""What is told of a measurement that Ctrl-C ends, and of an engine that breaks after its turns."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.latency import command
from bench.latency.command import main
from bench.latency.runtimes import RUNTIMES, Opener, RuntimeKind
from bench.machine.memory import STATUS
from export.deploy.engine_file import description_of
from export.runtimes.protocol import GpuTimes

Make = Callable[..., Path]
QUICK = [*("--min-s", "0.02", "--max-s", "1", "--warmup-s", "0.02"), *("--min-samples", "8", "--repeats", "8")]
ONNX = [*QUICK, "--threads", "1", "--runtime", "onnxruntime"]
FREE = ("FLOAT", ["n", 3, 8, 16])


@pytest.fixture
def ctrl_c_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`ctrl_c_at(step)`: Ctrl-C is pressed as that step of the measurement ends."""

    def press(at: str) -> None:
        def tell(step: str) -> None:
            if step == at:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(command, "now_and_then", lambda: tell)

    return press


def document_of(printed: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found


def test_the_rounds_that_were_finished_are_told(
    ctrl_c_at: Callable, make_onnx: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(make_onnx(name, x=FREE)) for name in ("a.onnx", "b.onnx")]
    ctrl_c_at("b onnxruntime: round 3 of 8")
    assert main([*paths, *ONNX, "--out", str(tmp_path / "out.json")]) == 130
    printed = capsys.readouterr()
    document = document_of(printed.out)
    a, b = document["latency"]["rows"]
    assert (a["status"], b["status"], len(b["rounds_ms"])) == ("ok", "ok", 3)
    assert len(a["rounds_ms"]) in (2, 3) and a["peak_mib"] is None
    (ratio,) = document["latency"]["ratios"]
    assert ratio["rounds"] == len(a["rounds_ms"]) and ratio["confidence"] in (0.5, 0.75)
    assert document["interrupted"] is True
    assert "interrupted: only what was finished by then" in printed.out and "asked for 8 rounds" in printed.out
    assert "Ctrl-C again ends at once" in printed.err
    assert json.loads((tmp_path / "out.json").read_text()) == document


def test_what_was_not_reached_is_a_failed_row(
    ctrl_c_at: Callable, make_onnx: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """The batches are tables one after the other: of three the first is complete, the second has not begun."""
    ctrl_c_at("a onnxruntime batch 2: loaded")
    arguments = [str(make_onnx("a.onnx", x=FREE)), *("--batch", "1", "--batch", "2", "--batch", "3")]
    assert main([*arguments, *ONNX, "--no-memory"]) == 130
    rows = document_of(capsys.readouterr().out)["latency"]["rows"]
    assert [row["status"] for row in rows] == ["ok", "failed", "failed"]
    assert len(rows[0]["rounds_ms"]) == 8
    assert {row["why"] for row in rows[1:]} == {"interrupted before it was measured"}


def test_ctrl_c_amid_the_peak_memory_keeps_the_latencies(
    ctrl_c_at: Callable, make_onnx: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.latency.memory.measure_peak", lambda request: 7.0)
    ctrl_c_at("a onnxruntime: peak memory")
    assert main([*(str(make_onnx(name, x=FREE)) for name in ("a.onnx", "b.onnx")), *ONNX]) == 130
    document = document_of(capsys.readouterr().out)
    rows = document["latency"]["rows"]
    assert [(len(row["rounds_ms"]), row["peak_mib"]) for row in rows] == [(8, 7.0), (8, None)]
    assert document["interrupted"] is True


def test_a_second_ctrl_c_ends_at_once(
    ctrl_c_at: Callable, make_onnx: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def again(line: str) -> None:
        signal.raise_signal(signal.SIGINT)

    ctrl_c_at("a onnxruntime: round 3 of 8")
    monkeypatch.setattr(command, "say", again)
    assert main([str(make_onnx("a.onnx", x=FREE)), *ONNX]) == 130
    printed = capsys.readouterr()
    assert (printed.out, printed.err.split(":")[0].strip()) == ("", "interrupted")


class Engine:
    """A runtime whose inferences are fast, and which does not tell the GPU's own times."""

    name = "TensorRT on nothing"

    def __init__(self, error: Callable[[], Exception]) -> None:
        self.error = error

    def predict(self, images_NHWC: np.ndarray) -> np.ndarray:
        return images_NHWC[..., 0]

    def timed(self, images_NHWC: np.ndarray) -> tuple[np.ndarray, GpuTimes]:
        raise self.error()

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Exception]], str]:
    """`engine(error)`: the path of an engine that opens here and raises where it is asked for its times."""

    def make(error: Callable[[], Exception]) -> str:
        class Here(Opener):
            def ready(self, *_: object) -> Callable[[], Engine]:
                return lambda: Engine(error)

        opener = Here("no:thing", lambda *_: {}, unweighed="it is none")
        monkeypatch.setitem(RUNTIMES, "tensorrt", RuntimeKind("engine", lambda _: None, opener, lambda _: "cuda"))
        plan = tmp_path / "student.plan"
        plan.write_bytes(b"engine")
        described = {"input": {"name": "images", "dtype": "uint8", "shape": [-1, 8, 16, 3]}}
        description_of(plan).write_text(json.dumps(described), encoding="utf-8")
        return str(plan)

    return make


def test_an_engine_whose_own_times_are_missing_keeps_its_latency(
    engine: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    path = engine(lambda: RuntimeError("an event that never was recorded"))
    assert main([path, *QUICK, "--no-memory"]) == 0
    printed = capsys.readouterr().out
    (row,) = document_of(printed)["latency"]["rows"]
    missing = "the GPU's own times are missing: RuntimeError: an event that never was recorded"
    assert (row["status"], "compute_ms" in row) == ("ok", False) and row["statistics"]["p50_ms"] > 0
    assert missing in row["warnings"] and missing in printed


def test_ctrl_c_amid_the_gpus_own_times_keeps_the_latencies(
    engine: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed() -> Exception:
        signal.raise_signal(signal.SIGINT)
        return RuntimeError("no matter")

    assert main([engine(pressed), *QUICK]) == 130
    document = document_of(capsys.readouterr().out)
    (row,) = document["latency"]["rows"]
    assert (document["interrupted"], len(row["rounds_ms"])) == (True, 8)


def test_a_file_without_inputs_is_measured(make_constant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(make_constant), *ONNX]) == 0
    (row,) = document_of(capsys.readouterr().out)["latency"]["rows"]
    assert (row["status"], row["inputs"], row["batch"]) == ("ok", {}, 1)
    assert (row["peak_mib"] is not None) == STATUS.exists()


@pytest.fixture
def make_constant(tmp_path: Path) -> Path:
    """An ONNX file that takes nothing."""
    from onnx import TensorProto, helper, save

    value = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    nodes = [helper.make_node("Constant", [], ["result"], value=value)]
    outputs = [helper.make_tensor_value_info("result", TensorProto.FLOAT, [1])]
    graph = helper.make_graph(nodes, "graph", [], outputs)
    path = tmp_path / "constant.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path
