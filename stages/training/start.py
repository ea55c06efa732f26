"""What every training stage does first: read the data, build its network, say what was loaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from pathlib import Path

import torch
from torch import nn

from pipeline.errors import TrainingError
from pipeline.stage import Context
from stages.datasets.index import Index, images_root
from stages.loading.augment import Augmentation
from stages.loading.loader import Batch, training_batches
from stages.loading.pictures import Pictures
from stages.nets.catalogue import NetSpec, build
from stages.nets.config import NetConfig
from stages.nets.trial import try_out
from stages.nets.weights import load_weights, require_whole
from stages.training.batch_norm import images_seen, synchronised
from stages.training.config import OptimiserConfig, TrainingConfig
from stages.training.device import memory_format
from stages.training.share import check_images, told_batch


def build_net(ctx: Context, config: NetConfig, index: Index, training: TrainingConfig) -> tuple[nn.Module, NetSpec]:
    """The network of a recipe on the device, initialised from the seed, with its weights reported key by key.

    It has been tried at the sizes that it will be fed, in training and on whole images. WeightsError where it is not
    to be trained and its weights leave a part of it at initialisation.
    """
    spec = config.spec(len(index.classes))
    torch.manual_seed(training.seed)
    net = build(spec.net, spec.classes, **spec.args).to(ctx.device)
    crop_px = training.crop_px if training.iterations else None
    try_out(net, spec, index.size_px, crop_px, batch=min(images_seen(training, ctx), 2))
    net = synchronised(net, training, ctx)
    if config.weights is None:
        ctx.log(f"{spec.net}: random initialisation, seed {training.seed}")
        return net, spec
    report = load_weights(net, config.weights, spec.net, config.weights_policy, config.weights_min_share)
    for line in report.lines():
        ctx.log(line)
    if not training.iterations:
        require_whole(net, report)
    (ctx.work / "weights_report.json").write_text(json.dumps(report.to_json(), indent=1) + "\n")
    return net, spec


def crops(ctx: Context, data: Path, index: Index, config: TrainingConfig) -> Callable[[int], Generator[Batch]]:
    """Function of the first iteration that gives this process's share of the training batches from there on."""
    check_images(len(index.samples("train")), ctx.group)
    augmentation = Augmentation(config.crop_px, config.scale, config.mirror, config.jitter)
    ctx.log(
        f"{told_batch(config.batch, ctx.group)}, crop {config.crop_px[0]}x{config.crop_px[1]}, "
        f"scale {config.scale[0]}-{config.scale[1]}, mirror {'on' if config.mirror else 'off'}, "
        f"colour jitter {'off' if config.jitter.off else 'on'}"
        f"{'' if config.batch_norm == 'process' else f', batch norm {config.batch_norm}'}"
    )
    folder = (ctx.cache or ctx.scratch) / "decoded"
    pictures = Pictures(index, images_root(data, index, ctx.settings), "train", config.decoded, folder)
    device = device_of_crops(config.augment_on, ctx.device)

    def from_iteration(start: int) -> Generator[Batch]:
        return training_batches(
            pictures,
            augmentation,
            config.batch,
            config.seed,
            start,
            config.iterations,
            config.workers,
            device,
            ctx.group,
        )

    return from_iteration


def device_of_crops(augment_on: str, device: str) -> str | None:
    """The device that cuts the crops, or None for the loader's processes; TrainingError for a GPU that is not used."""
    if augment_on == "gpu" and device == "cpu":
        raise TrainingError("augment_on = 'gpu' and the stage runs on the CPU: give --device cuda, or 'auto'")
    return None if augment_on == "cpu" or device == "cpu" else device


def place(net: nn.Module, config: OptimiserConfig, device: str) -> nn.Module:
    """`net` on the device in the memory format of the config."""
    return net.to(device=device, memory_format=memory_format(config.channels_last))
