"""Networks from outside the catalogue from data to the report, through the command line, at tiny sizes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
TINY = {
    "data.size_px": "[64, 96]",
    "data.train_images": "8",
    "data.val_images": "0",
    "data.test_images": "2",
    "teacher.args.width": "0.25",
    "bench.warmup_s": "0",
    "bench.min_s": "0.1",
    "bench.max_s": "0.5",
    "bench.repeats": "3",
    "position.iterations": "2",
    "position.batch": "2",
    "export.onnx.parity_images": "1",
    "export.onnx.fp16": "{}",
    "export.onnx.int8": "{}",
    "export.onnx.max_miou_drop": "100",
    **{
        f"{stage}.{name}": value
        for stage in ("teacher", "distill")
        for name, value in {"iterations": "2", "batch": "2", "crop_px": "[64, 64]", "workers": "0"}.items()
    },
}
"""The quickstart recipe, as small as its networks allow; they learn nothing, so that the labels of rounded forms are
measured and not judged."""

LRASPP = {
    "distill.student.net": "torchvision:lraspp_mobilenet_v3_large",
    "distill.student.args": "{}",
    "distill.student.taps": '{ pyramid = "classifier.cbr" }',
    "distill.student.tap_stride": "8",
}
UNET = {
    "distill.student.net": "smp:Unet",
    "distill.student.args": '{ encoder_name = "mobilenet_v2", decoder_channels = [32, 16, 16, 8, 8] }',
    "distill.student.taps": '{ pyramid = "decoder" }',
    "distill.student.tap_stride": "8",
}
OWN = {
    "teacher.net": "small_nets:Small",
    "teacher.args": "{ hidden = 16 }",
    "position.tap": "body.3",
    "distill.student.net": "small_nets:small",
    "distill.student.args": "{}",
    **{f"distill.terms.{term}.tap": "body.3" for term in ("pair_wise", "inter_class", "position")},
}
SMALL_NETS = """
from torch import nn


class Small(nn.Module):
    def __init__(self, num_classes, hidden=8):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, hidden, 3, 2, 1),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, 2, 1),
        )
        self.head = nn.Conv2d(hidden, num_classes, 1)

    def forward(self, images):
        return {"out": self.head(self.body(images).relu())}


def small(classes):
    return Small(classes)
"""

Done = subprocess.CompletedProcess[str]


def pipeline(verb: str, home: Path, *arguments: str, cwd: Path = ROOT, **changes: str) -> Done:
    values = {**TINY, **changes}
    settings = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "pipeline", verb, "--home", str(home), *settings, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared, so that one teacher serves the students."""
    return tmp_path_factory.mktemp("home")


def made(done: Done, stage: str) -> Path:
    """Folder of the artifact that a run with --json made or found current."""
    rows = {row["stage"]: row for row in json.loads(done.stdout)}
    return Path(done.args[done.args.index("--home") + 1], "store", stage, rows[stage]["key"], rows[stage]["digest"])


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.parametrize("student", [LRASPP, UNET], ids=lambda student: student["distill.student.net"])
def test_a_librarys_student_goes_from_data_to_the_report(home: Path, student: dict[str, str]) -> None:
    if student is UNET:
        pytest.importorskip("segmentation_models_pytorch", reason="needs the extra smp")
    done = pipeline("run", home, "--json", "--until", "bench", **student)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "term position: 1 x mean, tap pyramid" in line]
    assert "through a 1x1 adapter" in line
    config = read(made(done, "distill") / "config.json")
    assert config["net"] == student["distill.student.net"] and config["tap_stride"] == 8
    report = read(made(done, "bench") / "report.json")
    assert report["models"]["student"]["net"] == student["distill.student.net"]
    assert report["complexity"]["student"]["macs"] > 0
    measured = {row["name"]: row["status"] for row in report["latency"]["rows"] if row["runtime"] != "tensorrt"}
    assert set(measured.values()) == {"ok"} and len(measured) >= 5
    exported = {file["file"]: file["violations"] for file in report["parity"]["files"]}
    assert exported["student.fp32.labels.onnx"] == exported["student.fp32.logits.onnx"] == 0


def test_a_module_of_ones_own_is_teacher_and_student_and_runs_only_in_run(tmp_path: Path) -> None:
    module = tmp_path / "small_nets.py"
    module.write_text(SMALL_NETS)
    done = pipeline("run", tmp_path / "home", "--json", "--until", "export", cwd=tmp_path, **OWN)
    assert done.returncode == 0, done.stderr
    assert (made(done, "export.onnx") / "student.fp32.labels.onnx").is_file()
    assert read(made(done, "distill") / "config.json")["net"] == "small_nets:small"
    module.write_text(SMALL_NETS.replace("\nfrom torch", "\nopen('it-ran', 'w')\nfrom torch"))
    status = json.loads(pipeline("status", tmp_path / "home", "--json", cwd=tmp_path, **OWN).stdout)
    (teacher,) = [row for row in status if row["stage"] == "teacher"]
    assert teacher["state"] == "stale" and "code.small_nets" in teacher["reasons"][0]
    for verb in ("graph", "run", "show"):
        arguments = {"run": ["--dry-run"], "show": ["data"]}.get(verb, [])
        assert pipeline(verb, tmp_path / "home", *arguments, cwd=tmp_path, **OWN).returncode == 0
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"distill.student.net": "torchvision:lraspp_mobilenet_v3"},
            "no network torchvision:lraspp_mobilenet_v3: did you mean 'lraspp_mobilenet_v3_large'",
        ),
        ({"teacher.net": "small_nets:smal"}, "small_nets.py defines no 'smal': did you mean 'small'"),
        ({"teacher.net": "smal_nets:small"}, "no module smal_nets in this folder"),
        ({"distill.student.taps.aux": "head"}, "aux is an output of every network"),
    ],
)
def test_mistakes_in_names_are_found_before_anything_runs(tmp_path: Path, changes: dict[str, str], told: str) -> None:
    (tmp_path / "small_nets.py").write_text(SMALL_NETS)
    done = pipeline("run", tmp_path / "home", cwd=tmp_path, **changes)
    assert done.returncode == 2 and told in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_a_tap_that_does_not_exist_ends_the_run_before_anything_is_trained(home: Path) -> None:
    done = pipeline("run", home, "--until", "distill", **{**LRASPP, "distill.student.taps": "{}"})
    assert done.returncode == 2 and "term supervised" not in done.stderr
    assert "the student, torchvision:lraspp_mobilenet_v3_large, has no tap 'pyramid'" in done.stderr
