"""Scores the training split of a folder in two processes that reduce through Fabric; run as a script by a test."""

import json
import sys
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric

from stages.datasets.checks import check
from stages.datasets.config import DataConfig
from stages.datasets.folder import collect
from stages.datasets.index import Index, label_map, network_classes
from stages.evaluation.evaluate import scores_of, share_of, tallies
from stages.preprocess import Preprocess


def bright(images_NHWC: np.ndarray) -> np.ndarray:
    return (images_NHWC[..., 0] > 127).astype(np.uint8)


def work(fabric: Fabric, root: Path, target: Path) -> None:
    layout = collect(DataConfig(source="folder", root=root), root)
    samples = check(layout, False, lambda n: None).splits
    rows = layout.classes
    index = Index("small", Preprocess(12, 16), False, label_map(rows), samples, network_classes(rows))
    counted = tallies(bright, index, root, "train", index.preprocess, 2, share=share_of(fabric))
    (target / f"{fabric.global_rank}.json").write_text(json.dumps(scores_of(counted, index, "train")))


if __name__ == "__main__":
    Fabric(accelerator="cpu", devices=2, strategy="ddp_fork").launch(work, Path(sys.argv[1]), Path(sys.argv[2]))
