"""What a trained network's artifact holds: weights, description, classes, preprocessing, scores, history, card."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric
from torch import nn

from pipeline.stage import Context
from stages.datasets.index import Index, images_root
from stages.nets.catalogue import NetSpec
from stages.nets.normalise import Normalise
from stages.nets.saved import save_net
from stages.training.config import EvaluationConfig, TrainingConfig
from stages.training.evaluate import WHOLE, scores_of, share_of, tallies
from stages.training.predict import torch_predictor
from stages.training.results import confusion_csv, draw_confusion, results_table

EVALUATION_BATCH = 4


def score(
    ctx: Context, net: nn.Module, spec: NetSpec, data: Path, index: Index, config: TrainingConfig, fabric: Fabric
) -> dict[str, Any]:
    """Scores of `net` in fp32 on each split that has images and labels: {split: scores}; writes their confusion."""
    net.to(ctx.device).eval()
    seen = config.evaluation
    predict = torch_predictor(net, Normalise(spec.mean, spec.std).to(ctx.device), ctx.device, seen)
    root, share = images_root(data, index, ctx.settings), share_of(fabric)
    scores: dict[str, Any] = {}
    for split in config.evaluate:
        if not index.labelled(split):
            ctx.log(f"{split}: not scored, {'it has no labels' if index.samples(split) else 'it has no images'}")
            continue
        batches = math.ceil(len(index.samples(split)) / share.world / EVALUATION_BATCH)
        with ctx.progress(f"evaluate {split}", batches, 0) as bar:
            counted = tallies(
                predict, index, root, split, index.preprocess, EVALUATION_BATCH, lambda n: bar.step(n, {}), seen, share
            )
        changed = seen.model_dump(mode="json", exclude_defaults=True, exclude={"subsets"})
        scores[split] = scores_of(counted, index, split) | ({"evaluation": changed} if changed else {})
        write_confusion(ctx.work, split, counted[WHOLE].confusion.counts, [c.name for c in index.classes])
        for line in told(split, scores[split], seen):
            ctx.log(line)
    return scores


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


def volatile(scores: Mapping[str, Any]) -> tuple[str, ...]:
    """Files of the artifact that differ between equal runs, or between versions of the library that draws."""
    return ("history.jsonl", *map(heat_map, scores))


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
    title: str,
) -> None:
    """Write everything that a published network carries into `ctx.work`."""
    save_net(ctx.work, net, spec)
    for name in ("labels.json", "preprocess.json"):
        shutil.copyfile(data / name, ctx.work / name)
    (ctx.work / "metrics.json").write_text(json.dumps(scores, indent=1) + "\n")
    (ctx.work / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history))
    (ctx.work / "README.md").write_text(card(net, spec, scores, title))


def card(net: nn.Module, spec: NetSpec, scores: Mapping[str, Any], title: str) -> str:
    """The artifact's README: what the network is and how it scored."""
    parameters = sum(p.numel() for p in net.parameters())
    lines = [
        f"# {title}",
        "",
        f"`{spec.net}` with {spec.classes} classes, arguments {spec.args}, {parameters:,} parameters.",
        f"Input: RGB / 255, minus {list(spec.mean)}, over {list(spec.std)}; see preprocess.json for the resize rule.",
        "Load: `net, spec = stages.nets.saved.load_net(folder)`.",
    ]
    for split, values in scores.items():
        lines += ["", results_table(split, values), "", f"![Confusion on {split}]({heat_map(split)})"]
    return "\n".join(lines) + "\n"
