"""What is said while stages run, and what a later one asks of the data, looked at as soon as there is any."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.graph import NAMES


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("distill.validate_iterations=2", "distill.validate_iterations = 2: split val of synthetic has no images"),
        ('export.onnx.parity_split="val"', "export.onnx.parity_split: split val of synthetic has no images"),
    ],
)
def test_no_teacher_is_trained_for_a_student_that_cannot_be_scored(
    call: Any, tmp_path: Path, setting: str, told: str
) -> None:
    few = "data.train_images=2", "data.val_images=0", "data.test_images=1"
    words = ["run", "--home", tmp_path, "--until", "export", *(w for s in (*few, setting) for w in ("--set", s))]
    code, _, stderr = call(*words)
    assert code == 2 and told in stderr.splitlines()[-1], stderr
    assert [folder.name for folder in (tmp_path / "store").iterdir()] == ["data"]
    code, _, stderr = call(*words, "--dry-run")
    assert code == 2 and told in stderr


def test_no_line_names_its_stage_twice(finished: tuple[Path, Any]) -> None:
    lines = finished[1].stderr.splitlines()
    assert any(line.startswith("teacher: sgd, ") for line in lines)
    assert not [line for line in lines for name in NAMES if line.startswith(f"{name}: {name}: ")]
