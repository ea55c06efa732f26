"""A precision that the device lacks is an error before anything is computed."""

import pytest

from pipeline.errors import TrainingError
from stages.training import device
from stages.training.device import resolve_precision


def test_fp16_is_for_gpus() -> None:
    with pytest.raises(TrainingError, match="fp16-mixed needs a GPU: choose bf16-mixed, fp32 or auto"):
        resolve_precision("fp16-mixed", "cpu")


def test_bf16_is_for_gpus_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_native_bf16", lambda name: False)
    with pytest.raises(TrainingError, match="this GPU has no bf16"):
        resolve_precision("bf16-mixed", "cuda")
    assert resolve_precision("auto", "cuda") == "fp32"
    assert resolve_precision("bf16-mixed", "cpu") == "bf16-mixed", "a CPU emulates it"
    monkeypatch.setattr(device, "has_native_bf16", lambda name: True)
    assert resolve_precision("bf16-mixed", "cuda") == resolve_precision("auto", "cuda") == "bf16-mixed"
