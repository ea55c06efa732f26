"""Device and precision of a training stage, through Lightning Fabric."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import TrainingError

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric

FABRIC_PRECISION = {"fp32": "32-true", "bf16-mixed": "bf16-mixed", "fp16-mixed": "16-mixed"}


def resolve_precision(precision: str, device: str) -> str:
    """The precision that `auto` stands for on this device: bf16 where it is native, otherwise fp32."""
    if precision == "fp16-mixed" and device == "cpu":
        raise TrainingError("precision fp16-mixed needs a GPU: choose bf16-mixed, fp32 or auto for the CPU")
    if precision == "bf16-mixed" and device == "cuda" and not has_native_bf16(device):
        raise TrainingError(
            "precision bf16-mixed: this GPU has no bf16 (Ampere and later have): choose fp16-mixed or auto"
        )
    if precision != "auto":
        return precision
    return "bf16-mixed" if has_native_bf16(device) else "fp32"


def has_native_bf16(device: str) -> bool:
    """Whether the device multiplies bf16 in hardware; emulated bf16 is slower than fp32."""
    import torch

    if device == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text().partition("flags")[2].partition("\n")[0].split() if cpuinfo.exists() else []
    return "avx512_bf16" in flags or "amx_bf16" in flags


def require_device(device: str) -> None:
    """TrainingError where torch cannot open the device (`cpu` or `cuda`)."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("torch sees no GPU: run with --device cpu, or see python -m pipeline doctor")


def start_fabric(precision: str, device: str, seed: int, compile: bool = False) -> Fabric:
    """A Fabric on one device, its generators seeded; TF32 off so that fp32 means fp32.

    TrainingError where the device has not what is asked for: a GPU, a precision, a compiler for `compile`.
    """
    import torch
    from lightning_fabric import Fabric

    # Fabric announces its precision on stderr; the stage's own log says it.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    require_device(device)
    resolved = resolve_precision(precision, device)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if compile:
        from stages.training.compiled import require_compiler

        require_compiler(device)
    fabric = Fabric(accelerator=device, devices=1, precision=FABRIC_PRECISION[resolved])
    torch.manual_seed(seed)
    return fabric


def memory_format(channels_last: bool) -> torch.memory_format:
    """The torch memory format that a config's `channels_last` asks for."""
    import torch

    return torch.channels_last if channels_last else torch.contiguous_format
