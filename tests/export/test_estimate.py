"""What an export would cost: the sum by hand, and its parts measured at a tiny size."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from export import estimate
from export.onnx import Config
from pipeline import recipe as recipes
from pipeline.estimate import Estimate, Machine
from pipeline.rehearsals import Rehearsals
from pipeline.stage import StageConfig

TINY = (
    "data.size_px=[64, 96]",
    "data.train_images=6",
    "data.val_images=0",
    "data.test_images=3",
    "distill.student.args={ width = 0.125 }",
)
MEASURED = {
    **{"import_s": 1.0, "export_s": 2.0, "make_s": 4.0, "ranges_s": 8.0, "ranged_s": 16.0},
    **{"load_s:fp32": 32.0, "pass_s:fp32": 64.0, "load_s:fp16": 128.0, "pass_s:fp16": 256.0},
    **{"torch_s": 512.0, "score_s": 1024.0, "compare_s": 2048.0, "read_s": 4096.0},
    **{"run_mib": 10.0, "ranges_mib": 30.0, "parameters": 100},
}


def configs(*settings: str) -> Mapping[str, StageConfig]:
    return recipes.load("quickstart", (*TINY, *settings)).configs


def machine(folder: Path) -> Machine:
    return Machine("cpu", 2, {}, {}, Rehearsals(folder / "rehearsals.json", {}, lambda line: None), {})


def told(folder: Path, *settings: str) -> Estimate:
    found = configs(*settings)
    return estimate.estimate(found["export.onnx"], found, machine(folder))


def test_every_part_by_the_number_of_files_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "measured", lambda configs, machine: MEASURED)
    one = 'export.onnx.outputs=["labels"]'
    fp32 = told(tmp_path, 'export.onnx.forms=["fp32"]', one, "export.onnx.parity_images=2")
    passes = 512 + 64
    assert fp32.seconds == 1 + 2 + 32 + 3 * (passes + 2 * (1024 + 2048)) + 2 * (passes + 2048)
    assert (fp32.peak_mib, fp32.bytes) == (10.0, 400 + estimate.GRAPH_BYTES)
    both = told(tmp_path, 'export.onnx.forms=["fp32", "fp16"]', one, "export.onnx.parity_images=2")
    more = 128 + 3 * (256 + 1024 + 2048) + 2 * (256 + 2048)
    assert both.seconds == fp32.seconds + more + 4 + 8 + 6 * (16 + 2048)
    assert both.peak_mib == 30.0


def test_pictures_of_a_calibration_are_as_many_as_there_are() -> None:
    data = estimate.Outline((64, 96), {"train": 100}, frozenset(), 8, png=True)
    assert estimate.images_ranged(Config(forms=("fp32",)), data) == []
    assert estimate.images_ranged(Config(forms=("fp32", "int8-cpu")), data) == [100]
    assert estimate.images_ranged(Config(), data) == [8, 100]


def test_an_export_is_tried_once(tmp_path: Path) -> None:
    found = configs()
    parts = estimate.measured(found, machine(tmp_path))
    forms = ("fp32", "fp16", "int8-tensorrt", "int8-cpu")
    assert all(parts[f"{name}:{form}"] > 0 for name in ("load_s", "pass_s") for form in forms)
    assert all(parts[name] > 0 for name in ("export_s", "make_s", "torch_s", "score_s", "compare_s", "read_s"))
    assert min(parts["ranges_s"], parts["ranged_s"]) >= 0 < min(parts["run_mib"], parts["ranges_mib"])
    assert estimate.measured(configs("export.onnx.miou_images=1"), machine(tmp_path)) == parts
