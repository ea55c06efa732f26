"""Scores of a predictor over a split of files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.errors import DataError
from stages.datasets.checks import check
from stages.datasets.config import DataConfig
from stages.datasets.folder import collect
from stages.datasets.index import Index, label_map, network_classes
from stages.datasets.pixels import read_label
from stages.metrics import Confusion
from stages.preprocess import Preprocess, read_image
from stages.training.evaluate import evaluate, read_ahead, torch_predictor


@pytest.fixture
def index(small: Path) -> Index:
    layout = collect(DataConfig(source="folder", root=small), small)
    rows, samples = layout.classes, check(layout, False, lambda n: None).splits
    return Index("small", Preprocess(12, 16), False, label_map(rows), samples, network_classes(rows))


def bright(images_NHWC: np.ndarray) -> np.ndarray:
    return (images_NHWC[..., 0] > 127).astype(np.uint8)


def test_equals_scoring_file_by_file(index: Index, small: Path) -> None:
    confusion = Confusion(2)
    for sample in index.samples("train"):
        label = read_label(small, sample, index.label_map)
        confusion.add(bright(read_image(small / sample.image)[None])[0], label)
    seen: list[int] = []
    scores = evaluate(bright, index, small, "train", index.preprocess, 2, seen.append)
    assert seen == [2, 1]
    assert scores == {**confusion.scores(["road", "sky"]), "images": 3}


def test_labels_are_compared_at_their_own_grid(index: Index, small: Path) -> None:
    grown = Preprocess(24, 32)
    counted: list[tuple[int, ...]] = []

    def predict(images_NHWC: np.ndarray) -> np.ndarray:
        counted.append(images_NHWC.shape)
        return np.zeros(images_NHWC.shape[:3], np.uint8)

    scores = evaluate(predict, index, small, "test", grown, 4)
    assert counted == [(2, 24, 32, 3)]
    ids = np.concatenate([np.asarray(Image.open(small / s.label)).ravel() for s in index.samples("test")])
    assert scores["pixel_accuracy"] == (ids == 0).sum() / np.isin(ids, (0, 7)).sum()


def test_faults(index: Index, small: Path) -> None:
    with pytest.raises(DataError, match="split val of small is empty"):
        evaluate(bright, replace(index, splits={}), small, "val", index.preprocess, 2)
    (small / "labels/f.png").unlink()
    with pytest.raises(DataError, match=r"no file .*f.png"):
        evaluate(bright, index, small, "test", index.preprocess, 2)


def test_read_ahead_keeps_the_order() -> None:
    assert list(read_ahead(lambda x: x * x, range(20), 3)) == [x * x for x in range(20)]


class Coarse(nn.Module):
    """Logits at half size: class 0 = red, class 1 = green."""

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        return {"logits": nn.functional.avg_pool2d(images_NCHW[:, :2], 2)}


class Identity(nn.Module):
    def forward(self, images_NHWC: Tensor) -> Tensor:
        return images_NHWC.permute(0, 3, 1, 2).float()


def test_torch_predictor_resizes_logits_with_aligned_corners() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3), dtype=np.uint8)
    labels = torch_predictor(Coarse().eval(), Identity(), "cpu")(images)
    logits = Coarse()(Identity()(torch.from_numpy(images)))["logits"]
    expected = nn.functional.interpolate(logits, size=(8, 12), mode="bilinear", align_corners=True).argmax(1)
    assert labels.dtype == np.uint8 and np.array_equal(labels, expected.numpy())
