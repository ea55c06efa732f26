"""What a benchmark would take: the sum by hand."""

from pathlib import Path

import pytest

from bench import estimate
from pipeline import recipe as recipes
from pipeline.estimate import Machine
from pipeline.rehearsals import Rehearsals

MEASURED = {
    **{"torch_s": 0.2, "export_s": 9.0, "read_s": 0.05, "macs": 100, "run_mib": 10.0},
    **{"load_s:fp32": 0.3, "pass_s:fp32": 0.1},
}


def seconds(folder: Path, *settings: str) -> float:
    """Of student and teacher in onnxruntime with one file, the teacher of three times the student's operations."""
    common = ('export.onnx.forms=["fp32"]', "bench.min_s=4", "bench.warmup_s=6", "bench.repeats=10")
    configs = recipes.load("quickstart", (*common, *settings)).configs
    machine = Machine("cpu", 2, {}, {}, Rehearsals(folder / "rehearsals.json", {}, lambda line: None), {})
    found = estimate.estimate(configs["bench"], configs, machine)
    assert found.peak_mib == 10.0 and found.seconds is not None
    return found.seconds


def test_every_row_by_its_latency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row: its first inference, three windows of a second, a hundred samples or 4 s."""
    monkeypatch.setattr(estimate, "measured", lambda configs, machine: MEASURED)
    monkeypatch.setattr(estimate, "teachers_macs", lambda configs, machine: 300)
    lone = ('bench.runtimes=["onnxruntime"]', 'export.onnx.outputs=["logits"]', "bench.roofline=false")
    rows = (0.6 + 3 + 60) + (0.1 + 3 + 10)
    loads = 9.0 + 0.3
    plain = seconds(tmp_path, *lone, "bench.peak_memory=false")
    assert plain == pytest.approx(estimate.REPORT_S + rows + loads)
    with_memory = seconds(tmp_path, *lone)
    assert with_memory == pytest.approx(plain + 2 * estimate.PROCESS_S + loads + 2 * (0.6 + 0.1))
    labels = (lone[0], 'export.onnx.outputs=["labels"]', lone[2], "bench.peak_memory=false")
    assert seconds(tmp_path, *labels) == pytest.approx(plain + 0.15 + 3 + 15)
    assert seconds(tmp_path, *labels, "bench.batch=2") == pytest.approx(
        estimate.REPORT_S + (1.2 + 3.6 + 60) + (0.2 + 3 + 20) + loads
    )
    assert seconds(tmp_path, *lone[:2], "bench.peak_memory=false") == pytest.approx(plain + estimate.ROOFLINE_S)


def test_torch_adds_teacher_student_and_the_students_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "measured", lambda configs, machine: MEASURED)
    monkeypatch.setattr(estimate, "teachers_macs", lambda configs, machine: 300)
    without = ("bench.peak_memory=false", "bench.roofline=false")
    both = seconds(tmp_path, 'bench.runtimes=["torch", "onnxruntime"]', *without)
    one = seconds(tmp_path, 'bench.runtimes=["onnxruntime"]', *without)
    assert both - one == pytest.approx((9.0 + 0.6 + 3 + 60) + (0.2 + 3 + 20) + (0.25 + 3 + 25))
