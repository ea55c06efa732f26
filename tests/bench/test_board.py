"""A board's report where one of the files fails: the row says why, and the report is written."""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import board
from bench.board import accuracy_of
from bench.timing import Schedule
from export.deploy.engine_file import description_of
from export.deploy.manifest import Bundle
from export.runtimes.protocol import GpuTimes
from pipeline.errors import NetworkError


class Fake:
    """A runtime with times on a GPU; its engine works or not."""

    def __init__(self, works: bool) -> None:
        self.works = works

    def timed(self, images_NHWC: np.ndarray) -> tuple[np.ndarray, GpuTimes]:
        if not self.works:
            raise NetworkError("TensorRT could not run broken.plan")
        return images_NHWC[..., 0], GpuTimes(1.0, 0.1, 0.1, 0.1)

    def predict(self, images_NHWC: np.ndarray) -> np.ndarray:
        return self.timed(images_NHWC)[0]

    def close(self) -> None:
        pass


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """Two forms, an engine of each."""
    (tmp_path / "engines").mkdir()
    forms = []
    for name in ("good", "broken"):
        plan = tmp_path / "engines" / f"{name}.plan"
        plan.write_bytes(name.encode())
        description_of(plan).write_text("{}")
        forms.append({"file": f"{name}.onnx", "form": name, "output": {"name": "labels"}})
    (tmp_path / "manifest.json").write_text("{}")
    picture = np.zeros((1, 8, 8, 3), dtype=np.uint8), np.zeros((1, 8, 8), dtype=np.uint8)
    monkeypatch.setattr(Bundle, "golden", lambda self: picture)
    monkeypatch.setattr(Bundle, "preprocess", None)
    monkeypatch.setattr(board, "open_runtime", lambda runtime, path, threads: Fake(path.stem == "good"))
    monkeypatch.setattr(board, "Schedule", partial(Schedule, warmup_s=0.0))
    monkeypatch.setattr(board, "read", lambda path: picture[0][0])
    monkeypatch.setattr(board, "segment", lambda runtime, image, rule: runtime.predict(image[None])[0])
    known = {"golden": {"image": "golden.png"}, "network": {"net": "n", "args": {}}, "classes": [{"name": "road"}]}
    return Bundle(tmp_path, {"forms": forms, **known})


def test_a_row_says_what_its_accuracy_is_of() -> None:
    told = {"data": "streets", "split": "test", "pairs_sha256": "d" * 64}
    assert accuracy_of({"miou": 0.5, "images": 3, **told, "folder": "x"}) == {"miou": 0.5, "miou_images": 3, **told}
    assert accuracy_of({"miou": 0.5, "images": 3})["pairs_sha256"] is None


def test_an_engine_that_fails_is_a_row(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    out = bundle.folder / "report.json"
    options = {"runtime": "tensorrt", "form": None, "threads": None, "no_memory": True, "out": out}
    assert board.run(bundle, argparse.Namespace(**options, min_s=0.01, max_s=0.1)) == 0
    report: dict[str, Any] = json.loads(out.read_text())
    rows = {row["name"]: row for row in report["latency"]["rows"]}
    assert rows["good tensorrt inference"]["compute_ms"]["p50_ms"] == 1.0
    assert rows["good tensorrt inference"]["load_ms"] >= 0 and rows["good tensorrt pipeline"]["load_ms"] is None
    assert rows["good tensorrt inference"]["accuracy"] == "accuracy of this file: not measured; run python evaluate.py"
    broken = rows["broken tensorrt inference"]
    assert (broken["status"], broken["why"]) == ("failed", "TensorRT could not run broken.plan")
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["report"] == str(out)
