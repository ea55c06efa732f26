"""What machine and data cannot do of a training is said before the first stage runs, not after the teacher's hours."""

from pathlib import Path
from typing import Any

import pytest

from export import onnx
from pipeline.errors import DataError, TrainingError
from pipeline.group.ranks import ALONE, Group
from stages import distill, position, teacher
from stages.datasets.index import Index, LabelClass, Sample, write_index
from stages.preprocess import Preprocess
from stages.training import compiled
from stages.training.config import TrainingConfig
from stages.training.rehearsal import check_training


@pytest.mark.parametrize("stage", [teacher, position, distill])
def test_a_precision_that_the_device_lacks(stage: Any) -> None:
    with pytest.raises(TrainingError, match=r"^(teacher|position|distill): precision fp16-mixed needs a GPU"):
        stage.rehearse(stage.Config(precision="fp16-mixed"), {"teacher": teacher.Config()}, "cpu")


@pytest.mark.parametrize(
    ("settings", "group", "told"),
    [
        ({"augment_on": "gpu"}, ALONE, "augment_on = 'gpu' and the stage runs on the CPU"),
        ({"batch_norm": "sync"}, Group(world=2, local_world=2), "SyncBatchNorm refuses CPU tensors"),
        ({}, Group(world=4, local_world=1, nodes=2), "give torchrun one --nproc-per-node on all machines"),
    ],
)
def test_what_a_cpu_and_its_processes_cannot_do(settings: dict[str, Any], group: Group, told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        check_training("teacher", TrainingConfig(**settings), "cpu", group)


def test_a_gpu_that_torch_does_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(TrainingError, match="torch sees no GPU: run with --device cpu"):
        check_training("teacher", TrainingConfig(), "cuda", ALONE)


def test_a_compiler_is_tried_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: object) -> None:
        raise RuntimeError("no g++")

    monkeypatch.setattr(compiled.torch, "compile", missing)
    check_training("teacher", TrainingConfig(), "cpu", ALONE)
    with pytest.raises(TrainingError, match=r"compile = true does not work on this machine's cpu: no g\+\+"):
        check_training("teacher", TrainingConfig(compile=True), "cpu", ALONE)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An index with a split that can be scored, one without labels and one without images."""
    labelled = Sample("a.png", "b.png", "0", "1", 4, 8)
    splits = {"train": (labelled,), "val": (Sample("c.png", None, "2", None, 4, 8),), "test": ()}
    index = Index("streets", Preprocess(4, 8), False, (0,) * 256, splits, (LabelClass(0, "road", (0, 0, 0)),))
    write_index(tmp_path, index)
    return tmp_path


@pytest.mark.parametrize("stage", [teacher, distill])
def test_a_split_that_cannot_be_scored_is_refused_once_the_data_is_there(stage: Any, data: Path) -> None:
    asked = stage.Config(validate_iterations=5)
    stage.inspect(stage.Config(), {"data": data})
    stage.inspect(asked, {})
    with pytest.raises(TrainingError, match=r"validate_iterations = 5: split val of streets has no images with labels"):
        stage.inspect(asked, {"data": data})


def test_the_splits_of_later_stages_are_looked_at_too(data: Path) -> None:
    position.inspect(position.Config(held_out="val"), {"data": data})
    with pytest.raises(DataError, match=r"position\.held_out: split test of streets has no images"):
        position.inspect(position.Config(), {"data": data})
    onnx.inspect(onnx.Config(parity_split="train"), {"data": data})
    for split in ("val", "test"):
        with pytest.raises(DataError, match=rf"split {split} of streets .*; those that have: train"):
            onnx.inspect(onnx.Config(parity_split=split), {"data": data})
