"""Out of memory is told with what was asked for and what to lower."""

from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.errors import TrainingError
from pipeline.group.ranks import ALONE, Group
from pipeline.stage import Context
from stages.nets.catalogue import NORMALISATIONS, NetSpec
from stages.position import Config as PositionConfig
from stages.training import readout
from stages.training.config import OptimiserConfig, TrainingConfig
from stages.training.device import start_fabric
from stages.training.memory import memory_told, too_large


def test_the_cpu_s_own_message_is_known() -> None:
    with pytest.raises(TrainingError, match=r"^what to lower$"), memory_told("what to lower"):
        torch.empty(1 << 56, dtype=torch.uint8)


def test_a_gpu_s_message_is_known_and_other_errors_pass() -> None:
    with pytest.raises(TrainingError, match=r"^what to lower$"), memory_told("what to lower"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    with pytest.raises(RuntimeError, match=r"^shapes differ$"), memory_told("what to lower"):
        raise RuntimeError("shapes differ")


def context(group: Group = ALONE) -> Context:
    return Context(Path(), Path(), "cpu", {}, print, lambda *_: None, group=group)  # type: ignore[arg-type, return-value]


def test_what_to_lower() -> None:
    config = TrainingConfig(batch=8, crop_px=(512, 1024), precision="fp32")
    assert too_large("teacher", config, context()) == (
        "teacher: memory of the cpu does not suffice for batch 8, crop 512x1024, precision fp32: "
        "try precision = 'bf16-mixed', accumulate = 2 (the same batch in smaller parts), a smaller crop_px, "
        "a smaller batch"
    )
    config = OptimiserConfig(batch=8, accumulate=4, precision="bf16-mixed")
    assert too_large("position", config, context()) == (
        "position: memory of the cpu does not suffice for batch 8 in 4 parts, precision bf16-mixed: try a smaller batch"
    )


def test_what_to_lower_in_several_processes() -> None:
    config = OptimiserConfig(batch=16, precision="bf16-mixed")
    told = too_large("position", config, context(Group(world=4)))
    assert "batch 16 (4 in each of 4 processes), precision" in told
    assert "accumulate = 2 (" in told


def test_the_teachers_map_of_a_whole_image(monkeypatch: pytest.MonkeyPatch) -> None:
    class Large(nn.Module):
        def forward(self, images_NCHW: torch.Tensor) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    spec = NetSpec("large", 7, {}, *NORMALISATIONS["imagenet"])
    monkeypatch.setattr(readout, "load_net", lambda folder: (Large(), spec))
    monkeypatch.setattr(readout, "add_taps", lambda *settings: None)
    told = "the teacher's map of one image of 64x96, precision fp32: give a smaller data.size_px, or bf16-mixed"
    with pytest.raises(TrainingError, match=told):
        readout.feature_readout(
            start_fabric("fp32", "cpu", seed=0), Path(), (64, 96), PositionConfig(precision="fp32"), "cpu"
        )
