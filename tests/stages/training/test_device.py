"""A precision that the device lacks is an error before anything is computed."""

import pytest

from pipeline.errors import TrainingError
from stages.training import device
from stages.training.device import emulation, resolve_precision, start_fabric


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


def test_a_cpu_that_emulates_bf16_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "cpu_flags", lambda: ["avx512f", "amx_tile"])
    said: list[str] = []
    for precision in ("bf16-mixed", "fp32", "auto"):
        start_fabric(precision, "cpu", seed=0, log=said.append)
    (line,) = said
    assert line.startswith("warning: precision bf16-mixed: this CPU has neither avx512_bf16 nor amx_bf16")
    assert emulation("bf16-mixed", "cuda") is None


@pytest.mark.parametrize("flags", [["avx512_bf16"], ["avx512f", "amx_bf16"], []])
def test_a_cpu_that_has_bf16_or_does_not_say_is_believed(monkeypatch: pytest.MonkeyPatch, flags: list[str]) -> None:
    monkeypatch.setattr(device, "cpu_flags", lambda: flags)
    assert emulation("bf16-mixed", "cpu") is None
