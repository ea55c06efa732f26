"""A board's report where one of the files fails: the row says why, and the report is written."""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench import board
from bench.board import accuracy_of
from bench.machine.watch import Watch
from bench.turns.timing import Schedule
from export.deploy import choose
from export.deploy.engine_file import description_of
from export.deploy.manifest import Bundle
from export.runtimes.protocol import GpuTimes
from pipeline.errors import NetworkError


class Fake:
    """A runtime with times on a GPU; its engine works, or not, or does not tell the times."""

    def __init__(self, stem: str) -> None:
        self.stem = stem

    def timed(self, images_NHWC: np.ndarray) -> tuple[np.ndarray, GpuTimes]:
        if self.stem == "untold":
            raise RuntimeError("an event that never was recorded")
        return self.predict(images_NHWC), GpuTimes(1.0, 0.1, 0.1, 0.1)

    def predict(self, images_NHWC: np.ndarray) -> np.ndarray:
        if self.stem == "broken":
            raise NetworkError("TensorRT could not run broken.plan")
        return images_NHWC[..., 0]

    def close(self) -> None:
        pass


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """Three forms, an engine of each."""
    (tmp_path / "engines").mkdir()
    forms = []
    for name in ("good", "broken", "untold"):
        plan = tmp_path / "engines" / f"{name}.plan"
        plan.write_bytes(name.encode())
        description_of(plan).write_text("{}")
        forms.append({"file": f"{name}.onnx", "form": name, "output": {"name": "labels"}})
    (tmp_path / "manifest.json").write_text("{}")
    picture = np.zeros((1, 8, 8, 3), dtype=np.uint8), np.zeros((1, 8, 8), dtype=np.uint8)
    monkeypatch.setattr(Bundle, "golden", lambda self: picture)
    monkeypatch.setattr(Bundle, "preprocess", None)
    monkeypatch.setattr(board, "open_runtime", lambda runtime, path, threads: Fake(path.stem))
    monkeypatch.setattr(board, "Schedule", partial(Schedule, warmup_s=0.0))
    monkeypatch.setattr(board, "read", lambda path: picture[0][0])
    monkeypatch.setattr(board, "segment", lambda runtime, image, rule: runtime.predict(image[None])[0])
    known = {"golden": {"image": "golden.png"}, "network": {"net": "n", "args": {}}, "classes": [{"name": "road"}]}
    return Bundle(tmp_path, {"forms": forms, **known})


def test_a_row_says_what_its_accuracy_is_of() -> None:
    told = {"data": "streets", "split": "test", "pairs_sha256": "d" * 64}
    assert accuracy_of({"miou": 0.5, "images": 3, **told, "folder": "x"}) == {"miou": 0.5, "miou_images": 3, **told}
    assert accuracy_of({"miou": 0.5, "images": 3})["pairs_sha256"] is None


def measured(bundle: Bundle, **options: Any) -> dict[str, Any]:
    """The report of the program under these options, which ends well."""
    out = bundle.folder / "report.json"
    common = {"threads": None, "no_memory": True, "out": out, "min_s": 0.01, "max_s": 0.1}
    assert board.run(bundle, argparse.Namespace(**common | options)) == 0
    report: dict[str, Any] = json.loads(out.read_text())
    return report


def test_an_engine_that_fails_is_a_row(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    report = measured(bundle, runtime="tensorrt", form=None)
    rows = {row["name"]: row for row in report["latency"]["rows"]}
    assert rows["good tensorrt inference"]["compute_ms"]["p50_ms"] == 1.0
    assert rows["good tensorrt inference"]["load_ms"] >= 0 and rows["good tensorrt pipeline"]["load_ms"] is None
    assert rows["good tensorrt inference"]["accuracy"] == "accuracy of this file: not measured; run python evaluate.py"
    broken = rows["broken tensorrt inference"]
    assert (broken["status"], broken["why"]) == ("failed", "TensorRT could not run broken.plan")
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["report"] == str(bundle.folder / "report.json")


def test_an_engine_whose_own_times_are_missing_keeps_its_latency(bundle: Bundle) -> None:
    report = measured(bundle, runtime="tensorrt", form=["untold"])
    inference, pipeline = report["latency"]["rows"]
    assert (inference["status"], inference["compute_ms"], pipeline["compute_ms"]) == ("ok", None, None)
    assert inference["statistics"]["p50_ms"] > 0
    missing = "the GPU's own times are missing: RuntimeError: an event that never was recorded"
    assert missing in inference["warnings"] and missing not in pipeline["warnings"]


def test_a_gpus_joules_are_none_of_a_file_on_the_cpu(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The counter wants turns of 2 ms, those of the rounds last half of one: each row has a long one."""
    nvml = SimpleNamespace(joules=lambda: 100 * time.perf_counter(), reasons=lambda: 0)
    monkeypatch.setattr("bench.machine.watch.nvml_of", lambda device: nvml)
    monkeypatch.setattr("bench.machine.energy.NVML_COUNTER_TURN_S", 0.002)
    monkeypatch.setattr(board, "Watch", partial(Watch, root=tmp_path))
    (bundle.folder / "good.onnx").write_bytes(b"good")
    report = measured(bundle, runtime="auto", form=["good"])
    rows = {(row["runtime"], row["quantity"]): row for row in report["latency"]["rows"]}
    for quantity in board.QUANTITIES:
        engine = rows["tensorrt", quantity]
        assert engine["energy_j"] == pytest.approx(100 / engine["images_per_s"], rel=0.5)
        assert rows["onnxruntime", quantity]["energy_j"] is None
    assert report["environment"]["energy"]["long_turn_s"] == 0.008


@pytest.mark.parametrize(("min_s", "max_s"), [(5.0, 1.0), (-1.0, 1.0)])
def test_times_that_cannot_be_kept_are_refused_before_anything_runs(bundle: Bundle, min_s: float, max_s: float) -> None:
    with pytest.raises(NetworkError, match=f"--min-s {min_s:g} must be 0 or more, and at most --max-s {max_s:g}"):
        measured(bundle, runtime="tensorrt", form=None, min_s=min_s, max_s=max_s)


def test_ctrl_c_is_one_line_and_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(choose, "read_bundle", lambda folder: None)
    monkeypatch.setattr("sys.argv", ["benchmark.py"])
    assert choose.program(stop, tmp_path, argparse.ArgumentParser()) == choose.INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"
