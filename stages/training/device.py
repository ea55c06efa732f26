"""Device and precision of a training stage, through Lightning Fabric."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import TrainingError
from pipeline.group.ranks import ALONE, Group

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric

BF16_FLAGS = ("avx512_bf16", "amx_bf16")
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


def precision_of(fabric: Fabric) -> str:
    """The precision in which a Fabric computes, as a recipe spells it."""
    found = str(fabric.strategy.precision.precision)
    return next((ours for ours, fabrics in FABRIC_PRECISION.items() if fabrics == found), found)


def has_native_bf16(device: str) -> bool:
    """Whether the device multiplies bf16 in hardware; emulated bf16 is slower than fp32."""
    import torch

    if device == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    return any(flag in cpu_flags() for flag in BF16_FLAGS)


def cpu_flags() -> list[str]:
    """What the kernel says that an x86 CPU can; nothing where it does not say."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.read_text().partition("flags")[2].partition("\n")[0].split() if cpuinfo.exists() else []


def emulation(precision: str, device: str) -> str | None:
    """A warning where the CPU only emulates what was asked for."""
    if precision != "bf16-mixed" or device != "cpu" or not cpu_flags() or has_native_bf16(device):
        return None
    return (
        f"warning: precision bf16-mixed: this CPU has neither {' nor '.join(BF16_FLAGS)} and emulates bf16, which is "
        "slower than fp32: choose fp32 or auto"
    )


def require_device(device: str) -> None:
    """TrainingError where torch cannot open the device (`cpu` or `cuda`)."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("torch sees no GPU: run with --device cpu, or see python -m pipeline doctor")


def start_fabric(
    precision: str,
    device: str,
    seed: int,
    compile: bool = False,
    group: Group = ALONE,
    log: Callable[[str], None] | None = None,
) -> Fabric:
    """A Fabric on this process's device, its generators seeded; TF32 off so that fp32 means fp32.

    `log` is told where the device only emulates the precision.

    In a group of several processes every one of them calls this, and they form their group here. TrainingError where
    the device has not what is asked for: a GPU for each process, a precision, a compiler for `compile`.
    """
    import torch
    from lightning_fabric import Fabric

    # Fabric announces its precision on stderr; the stage's own log says it.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    choose_device(device, group)
    resolved = FABRIC_PRECISION[resolve_precision(precision, device)]
    if log and (warning := emulation(precision, device)):
        log(warning)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if compile:
        from stages.training.compiled import require_compiler

        require_compiler(device)
    fabric = (
        Fabric(accelerator=device, devices=1, precision=resolved)
        if group.world == 1
        else group_fabric(resolved, device, group)
    )
    torch.manual_seed(seed)
    return fabric


def choose_device(device: str, group: Group) -> None:
    """Choose this process's GPU, where it is to have one.

    TrainingError where there is none, or fewer than processes, and where machines have unlike numbers of processes.
    """
    import torch

    if group.local_world * group.nodes != group.world:
        raise TrainingError(
            f"{group.local_world} processes on this machine, {group.world} on {group.nodes}: give torchrun one "
            "--nproc-per-node on all machines"
        )
    require_device(device)
    if device != "cuda":
        return
    gpus = torch.cuda.device_count()
    if group.local_world > gpus:
        raise TrainingError(
            f"{group.local_world} processes on this machine, which has {gpus} GPUs, and each needs its own: start "
            f"torchrun with --nproc-per-node {gpus}"
        )
    if group.world > 1:
        # Before anything asks for a GPU, or every process would open the first one.
        torch.cuda.set_device(group.local_rank)


def group_fabric(precision: str, device: str, group: Group) -> Fabric:
    """The Fabric of one of several processes: their gradients are averaged while they are computed."""
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

    from stages.distributed.channel import form_group

    form_group(group, device)
    # A 1x1 kernel has the same memory in both layouts, and DDP sees two.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    # A static graph may leave weights without a gradient, such as an auxiliary head's that no term reads.
    strategy = DDPStrategy(static_graph=True)
    fabric = Fabric(
        accelerator=device, devices=group.local_world, num_nodes=group.nodes, strategy=strategy, precision=precision
    )
    fabric.launch()
    return fabric


def memory_format(channels_last: bool) -> torch.memory_format:
    """The torch memory format that a config's `channels_last` asks for."""
    import torch

    return torch.channels_last if channels_last else torch.contiguous_format
