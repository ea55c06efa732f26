"""What this machine cannot do of a training is said before the first stage runs, not after the teacher's hours."""

from typing import Any

import pytest

from pipeline.errors import TrainingError
from pipeline.group.ranks import ALONE, Group
from stages import distill, position, teacher
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
