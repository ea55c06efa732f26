"""Stage `teacher`: train the large network by cross-entropy, or publish one that exists (`iterations = 0`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from pipeline.errors import RecipeError
from pipeline.group.ranks import started
from pipeline.stage import Context, Outputs, StageConfig
from stages.losses import methods
from stages.losses.methods import TermConfig
from stages.nets.catalogue import choice, modules_of
from stages.nets.config import NetConfig
from stages.training.config import TrainingConfig

VERSION = 1
DISTRIBUTED = True


class Config(NetConfig, TrainingConfig):
    """Part `[teacher]` of a recipe."""

    net: str = "pspnet_resnet101"
    auxiliary_weight: float = Field(0.4, ge=0)
    """Weight of the auxiliary head's cross-entropy, where the network has one."""


def needs(config: Config) -> tuple[str, ...]:
    """The images alone."""
    return ("data",)


def terms_of(config: Config) -> dict[str, TermConfig]:
    """The weighted terms; none where nothing is trained."""
    return methods.resolve("none", {"auxiliary": {"weight": config.auxiliary_weight}}) if config.iterations else {}


def code(config: Config) -> tuple[str, ...]:
    """The modules of the chosen network and of its terms."""
    return (*modules_of(config.net, config.args, "teacher"), *methods.modules(terms_of(config)))


def loading(config: Config) -> tuple[str, ...]:
    """The network's module."""
    return modules_of(config.net, config.args)


def choices(config: Config) -> dict[str, Any]:
    """What the names of the network and of its terms stand for."""
    return {"net": choice(config.net), "terms": methods.choice(terms_of(config))}


def rehearse(config: Config, configs: Mapping[str, StageConfig], device: str) -> None:
    """TrainingError for what this machine cannot do of what the training asks for."""
    from stages.training.rehearsal import check_training

    check_training("teacher", config, device, started())


def inspect(config: Config, inputs: Mapping[str, Path]) -> None:
    """TrainingError where val is to be scored while it trains and has nothing to score."""
    from stages.training.rehearsal import check_val

    check_val("teacher", config, inputs)


def run(ctx: Context, inputs: Mapping[str, Path], config: Config) -> Outputs:
    """Publish the trained teacher with its scores."""
    from stages.datasets.index import read_index
    from stages.training.artifact import score, summary, val_score, volatile, write_artifact
    from stages.training.device import start_fabric
    from stages.training.start import build_net, crops
    from stages.training.student import train_net

    if config.iterations == 0 and config.weights is None:
        raise RecipeError("teacher.iterations = 0 publishes a network as its file has it: give teacher.weights")
    index = read_index(inputs["data"])
    fabric = start_fabric(config.precision, ctx.device, config.seed, config.compile, ctx.group, ctx.log)
    net, spec = build_net(ctx, config, index, config)
    history = []
    if config.iterations:
        batches = crops(ctx, inputs["data"], index, config)
        rated = val_score(ctx, net, spec, inputs["data"], index, config, fabric)
        history = train_net(fabric, net, spec, terms_of(config), batches, config, ctx, "teacher", score=rated)
    scores = score(ctx, net, spec, inputs["data"], index, config, fabric)
    if not ctx.group.leads:
        return Outputs()
    write_artifact(ctx, net, spec, inputs["data"], scores, history, config, "Teacher")
    return Outputs(summary=summary(scores), volatile=volatile(scores, history))
