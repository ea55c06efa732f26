"""How each runtime is opened alone for its memory, and what is said where it is not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.latency.jobs import Job
from bench.latency.memory import add_peaks, request_of
from bench.latency.models import Kind, Model
from bench.latency.runtimes import RUNTIMES, Setting
from bench.machine.memory import Request

SETTING = Setting("cuda", 2)
IMAGES_NHWC = np.zeros((4, 8, 16, 3), np.uint8)
PEAK = "bench.latency.memory.measure_peak"


def job_of(runtime: str, kind: Kind, name: str = "images") -> Job:
    path = Path("student.model")
    return Job(Model("student", "student", path, kind), runtime, batch=4, size_px=(8, 16), arrays={name: IMAGES_NHWC})


@pytest.mark.parametrize(
    ("runtime", "kind", "function", "arguments", "device"),
    [
        (
            "torch",
            "network",
            "bench.candidates:open_torch",
            {"folder": "student.model", "height": 8, "width": 16, "device": "cuda", "threads": 2},
            "cuda",
        ),
        (
            "tensorrt",
            "engine",
            "export.runtimes.tensorrt_runtime:open_engine",
            {"path": "student.model", "batch": 4},
            "cuda",
        ),
        (
            "onnxruntime-cuda",
            "onnx",
            "export.runtimes.onnx_runtime:open_onnx",
            {"path": "student.model", "threads": 2, "device": "cuda"},
            "cuda",
        ),
        (
            "openvino",
            "onnx",
            "export.runtimes.openvino_runtime:open_openvino",
            {"path": "student.model", "threads": 2},
            "cpu",
        ),
    ],
)
def test_a_process_of_its_own_opens_what_was_measured(
    runtime: str, kind: Kind, function: str, arguments: dict[str, object], device: str, tmp_path: Path
) -> None:
    found = request_of(job_of(runtime, kind), SETTING, tmp_path)
    assert (found.opener, found.arguments, found.device) == (function, arguments, device)
    assert (found.feeds is None) == (kind != "onnx")
    if kind != "onnx":
        assert found.shape == IMAGES_NHWC.shape


def test_an_input_may_have_any_name(tmp_path: Path) -> None:
    feeds = request_of(job_of("onnxruntime", "onnx", "../a/b:0"), SETTING, tmp_path).feeds
    assert feeds == {"../a/b:0": str(tmp_path / "0.npy")}
    assert np.load(tmp_path / "0.npy").shape == IMAGES_NHWC.shape


@pytest.fixture
def peaks_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, object]]]:
    """Rows of jobs after their peaks were asked for, of which the process says 7 MiB, or fails."""

    def run(*jobs: Job, error: Exception | None = None, status: str = "ok") -> list[dict[str, object]]:
        def measure(request: Request) -> float:
            if error:
                raise error
            return 7.0

        monkeypatch.setattr(PEAK, measure)
        rows: list[dict[str, object]] = [{"status": status, "peak_mib": None, "warnings": []} for _ in jobs]
        add_peaks(zip(jobs, rows, strict=True), SETTING, lambda step: None)
        return rows

    return run


def test_only_a_measured_inference_is_asked(peaks_of: Callable) -> None:
    job, device = job_of("onnxruntime-cuda", "onnx"), job_of("onnxruntime-cuda", "onnx")
    device.quantity = "device"
    assert [row["peak_mib"] for row in peaks_of(job, device)] == [7.0, None]
    assert peaks_of(job, status="failed") == [{"status": "failed", "peak_mib": None, "warnings": []}]


def test_why_there_is_no_figure_stands_beside_the_row(peaks_of: Callable) -> None:
    (row,) = peaks_of(job_of("torch-compiled", "network"))
    assert row["warnings"] == ["peak memory not measured: the compiler's own memory would be in it"]
    (row,) = peaks_of(job_of("onnxruntime", "onnx"), error=OSError(28, "No space left on device"))
    assert row["peak_mib"] is None
    assert row["warnings"] == ["peak memory not measured: [Errno 28] No space left on device"]


def test_every_runtime_is_opened_by_a_function_that_exists() -> None:
    for kind in RUNTIMES.values():
        module, _, function = kind.opener.function.partition(":")
        source = Path(__file__).parents[3] / Path(*module.split(".")).with_suffix(".py")
        assert f"def {function}(" in source.read_text(encoding="utf-8")
