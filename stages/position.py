"""Stage `position`: read absolute position out of the teacher's features (Islam et al. 2020; IDD section 3.3)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from pipeline.errors import DataError, TrainingError
from pipeline.group.ranks import started
from pipeline.stage import Context, Outputs, StageConfig
from stages.training.config import OptimiserConfig, Split

VERSION = 1
DISTRIBUTED = True


class Config(OptimiserConfig):
    """Part `[position]` of a recipe.

    Whole images at their own scale, since a ramp belongs to a whole image; mirrored at random, since a content that
    stands more often on one side would otherwise be learnt in place of position.
    """

    iterations: int = Field(1_000, ge=1)
    batch: int = Field(8, ge=1)
    lr: float = Field(0.1, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    mirror: bool = True
    """Whether half of the training images are mirrored."""
    tap: str = "pyramid"
    """The teacher's map that is read; the same one on which the position term compares."""
    hidden: int = Field(64, ge=1)
    """Channels between the read-out's two convolutions."""
    held_out: Split = "test"
    """Split on which the read-out is scored."""
    held_out_images: int = Field(64, ge=1)
    """How many of its images, spread evenly."""


def needs(config: Config) -> tuple[str, ...]:
    """The images and the network whose features are read."""
    return ("data", "teacher")


def code(config: Config) -> tuple[str, ...]:
    """Nothing that the config chooses: the teacher's module is part of the teacher's artifact."""
    return ()


def rehearse(config: Config, configs: Mapping[str, StageConfig], device: str) -> None:
    """RecipeError for a tap that the teacher lacks, before it is trained.

    TrainingError for what this machine cannot do of what the training asks for.
    """
    from stages.nets.config import NetConfig
    from stages.training.rehearsal import check_taps, check_training

    check_training("position", config, device, started())
    teacher = configs["teacher"]
    if isinstance(teacher, NetConfig):
        check_taps("teacher", teacher, [("position.tap", config.tap)])


def inspect(config: Config, inputs: Mapping[str, Path]) -> None:
    """DataError where the split to be scored on has no images."""
    from stages.datasets.index import read_index

    index = read_index(inputs["data"]) if "data" in inputs else None
    if index and not index.samples(config.held_out):
        raise DataError(f"position.held_out: split {config.held_out} of {index.name} has no images: name one that has")


def run(ctx: Context, inputs: Mapping[str, Path], config: Config) -> Outputs:
    """Publish the read-out with its Spearman correlation and MSE, beside a content-only read-out's."""
    from stages.datasets.index import read_index
    from stages.nets.saved import save_weights
    from stages.training.artifact import write_history
    from stages.training.device import start_fabric
    from stages.training.readout import content_readout, feature_readout, train_and_score
    from stages.training.record.curve import CURVE
    from stages.training.share import told_batch

    index = read_index(inputs["data"])
    fabric = start_fabric(config.precision, ctx.device, config.seed, group=ctx.group, log=ctx.log)
    ctx.log(told_batch(config.batch, ctx.group))
    metrics: dict[str, Any] = {"tap": config.tap}
    features, grid_hw = feature_readout(fabric, inputs["teacher"], index.size_px, config, ctx.device)
    history, metrics["features"] = train_and_score(fabric, features, inputs["data"], index, config, ctx)
    content = content_readout(grid_hw, config)
    _, metrics["content_only"] = train_and_score(fabric, content, inputs["data"], index, config, ctx)
    if not ctx.group.leads:
        return Outputs()
    save_weights(ctx.work, features.net)
    description = {"tap": config.tap, "channels": features.net.channels, "hidden": config.hidden}
    (ctx.work / "config.json").write_text(json.dumps(description, indent=1) + "\n")
    (ctx.work / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    write_history(ctx.work, history, "Position network")
    (ctx.work / "README.md").write_text(card(metrics, config))
    summary = {f"Spearman {axis}": metrics["features"][axis]["spearman"] for axis in ("horizontal", "vertical")}
    return Outputs(summary=summary, volatile=("history.jsonl", CURVE))


def card(metrics: Mapping[str, Any], config: Config) -> str:
    """The artifact's README: how well position can be read, and from what."""
    rows = [
        f"| {label} | {axis} | {metrics[source][axis]['spearman']:.3f} | {metrics[source][axis]['mse']:.4f} |"
        for label, source in ((f"teacher's `{config.tap}`", "features"), ("RGB, unpadded", "content_only"))
        for axis in ("horizontal", "vertical")
    ]
    head = [
        "# Position network",
        "",
        "Reads the relative column and row of each cell out of features; scored on held-out images.",
        "",
        "| read from | axis | Spearman | MSE |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def load_position_net(folder: Path, tap: str) -> Any:
    """The frozen read-out of a position artifact; TrainingError where it was trained on another tap than `tap`."""
    from safetensors.torch import load_file

    from stages.nets.position import PositionNet

    description = json.loads((folder / "config.json").read_text())
    if description["tap"] != tap:
        raise TrainingError(
            f"the position network reads the teacher's {description['tap']!r}, the position term {tap!r}: "
            "give position.tap and distill.terms.position.tap one name"
        )
    net = PositionNet(description["channels"], description["hidden"])
    net.load_state_dict(load_file(folder / "model.safetensors"))
    return net.eval().requires_grad_(False)
