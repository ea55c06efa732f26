"""What a trained network's artifact holds: weights, description, classes, preprocessing, scores, history, card."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from pipeline.stage import Context
from stages.datasets.index import Index, images_root
from stages.nets.catalogue import NetSpec
from stages.nets.normalise import Normalise
from stages.nets.saved import save_net
from stages.training.evaluate import evaluate, torch_predictor

EVALUATION_BATCH = 4


def score(
    ctx: Context, net: nn.Module, spec: NetSpec, data: Path, index: Index, splits: Sequence[str]
) -> dict[str, Any]:
    """Scores of `net` in fp32 on whole images of each split that has any: {split: scores}."""
    net.to(ctx.device).eval()
    predict = torch_predictor(net, Normalise(spec.mean, spec.std).to(ctx.device), ctx.device)
    root = images_root(data, index, ctx.settings)
    scores = {}
    for split in splits:
        samples = index.samples(split)
        if not samples:
            continue
        with ctx.progress(f"evaluate {split}", math.ceil(len(samples) / EVALUATION_BATCH), 0) as bar:
            scores[split] = evaluate(
                predict, index, root, split, index.preprocess, EVALUATION_BATCH, on_images=lambda n: bar.step(n, {})
            )
        ctx.log(f"{split}: mIoU {100 * scores[split]['miou']:.2f} % on {len(samples)} images")
    return scores


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
        lines += ["", f"| {split}, {values['images']} images | IoU % |", "|---|---|"]
        for name, iou in values["per_class_iou"].items():
            lines.append(f"| {name} | {'-' if iou is None else f'{100 * iou:.2f}'} |")
        lines.append(f"| **mIoU** | **{100 * values['miou']:.2f}** |")
    return "\n".join(lines) + "\n"
