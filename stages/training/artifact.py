"""What a trained network's artifact holds: weights, description, classes, preprocessing, scores, history, card."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric
from torch import nn

from pipeline.stage import Context
from stages.datasets.index import Index, images_root
from stages.evaluation.evaluate import WHOLE, scores_of, share_of, tallies
from stages.evaluation.predict import torch_predictor
from stages.evaluation.results import confusion_csv, draw_confusion, results_table
from stages.metrics import Tally
from stages.nets.catalogue import NetSpec
from stages.nets.eval_mode import eval_mode
from stages.nets.normalise import Normalise
from stages.nets.saved import save_net
from stages.training.config import EvaluationConfig, TrainingConfig
from stages.training.keeper import Score, kept, sentence
from stages.training.memory import memory_told
from stages.training.record.curve import CURVE, draw_curve

EVALUATION_BATCH = 4


def score(
    ctx: Context, net: nn.Module, spec: NetSpec, data: Path, index: Index, config: TrainingConfig, fabric: Fabric
) -> dict[str, Any]:
    """Scores of `net` in fp32 on each split that has images and labels: {split: scores}; writes their confusion."""
    net.eval()
    scores: dict[str, Any] = {}
    for split in config.evaluate:
        if not index.labelled(split):
            ctx.log(f"{split}: not scored, {'it has no labels' if index.samples(split) else 'it has no images'}")
            continue
        batches = math.ceil(len(index.samples(split)) / share_of(fabric).world / EVALUATION_BATCH)
        with ctx.progress(f"evaluate {split}", batches, 0) as bar:
            counted = counts(ctx, net, spec, data, index, split, config, fabric, partial(bar.step, terms={}))
        changed = config.evaluation.model_dump(mode="json", exclude_defaults=True, exclude={"subsets"})
        scores[split] = scores_of(counted, index, split) | ({"evaluation": changed} if changed else {})
        if ctx.group.leads:
            write_confusion(ctx.work, split, counted[WHOLE].confusion.counts, [c.name for c in index.classes])
        for line in told(split, scores[split], config.evaluation):
            ctx.log(line)
    return scores


def val_score(
    ctx: Context, net: nn.Module, spec: NetSpec, data: Path, index: Index, config: TrainingConfig, fabric: Fabric
) -> Score | None:
    """What gives the mIoU of `net` on val while it trains, counted as `score` counts it; None where none is wanted.

    Modules, weights, buffers and random state stay as they are.
    """
    if not config.validate_iterations:
        return None

    def miou() -> float:
        with eval_mode(net):
            counted = counts(ctx, net, spec, data, index, "val", config, fabric)
        return float(scores_of(counted, index, "val")["miou"])

    return miou


def counts(
    ctx: Context,
    net: nn.Module,
    spec: NetSpec,
    data: Path,
    index: Index,
    split: str,
    config: TrainingConfig,
    fabric: Fabric,
    on_images: Callable[[int], None] | None = None,
) -> dict[str, Tally]:
    """The counts of a split by a network in eval mode, in fp32; TrainingError where memory does not suffice."""
    net.to(ctx.device)
    seen = config.evaluation
    predict = torch_predictor(net, Normalise(spec.mean, spec.std).to(ctx.device), ctx.device, seen)
    root, share = images_root(data, index, ctx.settings), share_of(fabric)
    height, width = index.size_px
    with memory_told(
        f"{split}: memory of the {ctx.device} does not suffice to score {EVALUATION_BATCH} images of {height}x{width}: "
        "give evaluation.window_px, or a smaller data.size_px"
    ):
        return tallies(predict, index, root, split, index.preprocess, EVALUATION_BATCH, on_images, seen, share)


def told(split: str, scores: Mapping[str, Any], seen: EvaluationConfig) -> Iterator[str]:
    """The figures that are quoted, one line for the split and one for each of its subsets."""
    yield f"{split}: mIoU {100 * scores['miou']:.2f} % on {scores['images']} images"
    for prefix in seen.subsets:
        part = scores.get("subsets", {}).get(prefix)
        quoted = f"mIoU {100 * part['miou']:.2f} % on {part['images']} images" if part else "no image"
        yield f"{split}, file names {prefix}*: {quoted}"


def write_confusion(folder: Path, split: str, counts: np.ndarray, names: Sequence[str]) -> None:
    """The confusion matrix as counts and as a picture."""
    (folder / f"confusion_{split}.csv").write_text(confusion_csv(counts, names), encoding="utf-8")
    draw_confusion(folder / heat_map(split), counts, names, f"{split}: where the pixels of each class went")


def heat_map(split: str) -> str:
    """Name of the picture of a split's confusion matrix."""
    return f"confusion_{split}.png"


def volatile(scores: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Files of the artifact that differ between equal runs, or between versions of the library that draws."""
    return ("history.jsonl", *([CURVE] if history else []), *map(heat_map, scores))


def summary(scores: Mapping[str, Any]) -> dict[str, float]:
    """The figures that are quoted: test where it was scored, otherwise val."""
    split = "test" if "test" in scores else "val"
    return {f"{split} mIoU": scores[split]["miou"]} if split in scores else {}


def write_artifact(
    ctx: Context,
    net: nn.Module,
    spec: NetSpec,
    data: Path,
    scores: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    config: TrainingConfig,
    title: str,
) -> None:
    """Write everything that a published network carries into `ctx.work`."""
    weights = kept(history, config)
    save_net(ctx.work, net, spec, {"weights": weights} if weights else {})
    for name in ("labels.json", "preprocess.json"):
        shutil.copyfile(data / name, ctx.work / name)
    (ctx.work / "metrics.json").write_text(json.dumps(scores, indent=1) + "\n")
    write_history(ctx.work, history, title)
    (ctx.work / "README.md").write_text(card(net, spec, scores, weights, title))


def write_history(folder: Path, history: Sequence[Mapping[str, Any]], title: str) -> None:
    """The history as rows of JSON and, where there is any, as a picture."""
    (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history))
    if history:
        draw_curve(folder / CURVE, history, title)


def card(net: nn.Module, spec: NetSpec, scores: Mapping[str, Any], weights: Mapping[str, Any], title: str) -> str:
    """The artifact's README: what the network is, which weights these are, and how it scored."""
    parameters = sum(p.numel() for p in net.parameters())
    lines = [
        f"# {title}",
        "",
        f"`{spec.net}` with {spec.classes} classes, arguments {spec.args}, {parameters:,} parameters.",
        f"Input: RGB / 255, minus {list(spec.mean)}, over {list(spec.std)}; see preprocess.json for the resize rule.",
        "Load: `net, spec = stages.nets.saved.load_net(folder)`.",
    ]
    if weights:
        lines += ["", sentence(weights), "", f"![Training]({CURVE})"]
    for split, values in scores.items():
        lines += ["", results_table(split, values), "", f"![Confusion on {split}]({heat_map(split)})"]
    return "\n".join(lines) + "\n"
