"""Over which images batch norm takes its statistics, where several processes share a batch."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.errors import TrainingError
from pipeline.group.ranks import Group
from pipeline.stage import Context
from stages.training.config import TrainingConfig


def synchronised(module: nn.Module, config: TrainingConfig, ctx: Context) -> nn.Module:
    """`module` with batch norm over the images of all processes, where the config asks for it.

    Hooks on a batch norm are lost: taps come after it. TrainingError on a CPU, whose tensors torch's SyncBatchNorm
    refuses.
    """
    if config.batch_norm != "sync" or ctx.group.world == 1:
        return module
    check_statistics(config, ctx.device, ctx.group)
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
    return converted


def check_statistics(config: TrainingConfig, device: str, group: Group) -> None:
    """TrainingError where batch norm is to see the images of several processes, and their device is a CPU."""
    if config.batch_norm == "sync" and group.world > 1 and device == "cpu":
        raise TrainingError(
            "batch_norm = 'sync' needs GPUs, torch's SyncBatchNorm refuses CPU tensors: take 'process' or 'frozen'"
        )


def images_seen(config: TrainingConfig, ctx: Context) -> int:
    """How many images of a batch one batch norm sees; where it is frozen, that does not matter, and 2 serve any."""
    if config.batch_norm == "frozen":
        return 2
    part = config.batch // config.accumulate
    return part if config.batch_norm == "sync" else part // ctx.group.world


def freeze_statistics(module: nn.Module) -> None:
    """Let every batch norm inside use its running statistics and leave them as they are; its scale and shift learn."""
    for each in module.modules():
        if isinstance(each, _BatchNorm):
            each.eval()
