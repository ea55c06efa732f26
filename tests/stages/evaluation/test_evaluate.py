"""Scores of a predictor over a split of files."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DataError
from stages.datasets.checks import check
from stages.datasets.config import DataConfig
from stages.datasets.folder import collect
from stages.datasets.index import Index, label_map, network_classes
from stages.datasets.pixels import read_label
from stages.evaluation.evaluate import WHOLE, Share, evaluate, read_ahead, scores_of, tallies
from stages.metrics import Tally
from stages.preprocess import Preprocess, read_image
from stages.training.config import EvaluationConfig


@pytest.fixture
def index(small: Path) -> Index:
    layout = collect(DataConfig(source="folder", root=small), small)
    rows, samples = layout.classes, check(layout, False, lambda n: None).splits
    return Index("small", Preprocess(12, 16), False, label_map(rows), samples, network_classes(rows))


def bright(images_NHWC: np.ndarray) -> np.ndarray:
    return (images_NHWC[..., 0] > 127).astype(np.uint8)


def test_equals_scoring_file_by_file(index: Index, small: Path) -> None:
    tally = Tally(2, 0.02)
    for sample in index.samples("train"):
        label = read_label(small, sample, index.label_map)
        tally.add(bright(read_image(small / sample.image)[None])[0], label)
    seen: list[int] = []
    scores = evaluate(bright, index, small, "train", index.preprocess, 2, seen.append)
    assert seen == [2, 1]
    assert scores == {**tally.scores(["road", "sky"]), "images": 3}


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


def test_any_number_of_processes_gets_the_same_sums(index: Index, small: Path) -> None:
    one = tallies(bright, index, small, "train", index.preprocess, 2)[WHOLE].confusion.counts
    for world in (2, 3, 5):
        parts = [
            tallies(bright, index, small, "train", index.preprocess, 2, share=Share(rank, world))[
                WHOLE
            ].confusion.counts
            for rank in range(world)
        ]
        assert np.array_equal(sum(parts), one)


def test_two_processes_reduce_through_fabric(index: Index, small: Path, tmp_path: Path) -> None:
    script, root = Path(__file__).parent / "scored_in_a_group.py", Path(__file__).parents[3]
    command = [sys.executable, "-W", "ignore", str(script), str(small), str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    alone = evaluate(bright, index, small, "train", index.preprocess, 2)
    assert [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)] == [alone, alone]


def test_subsets_are_scored_beside_the_whole(index: Index, small: Path) -> None:
    settings = EvaluationConfig(subsets=("e", "nowhere"))
    scores = scores_of(tallies(bright, index, small, "test", index.preprocess, 2, evaluation=settings), index, "test")
    only_e = replace(index, splits={"test": index.samples("test")[:1]})
    assert scores["images"] == 2 and list(scores["subsets"]) == ["e"]
    assert scores["subsets"]["e"] == evaluate(bright, only_e, small, "test", index.preprocess, 2)


def test_a_split_without_labels_is_not_scored(index: Index, small: Path) -> None:
    bare = tuple(replace(sample, label=None, label_sha256=None) for sample in index.samples("test"))
    with pytest.raises(DataError, match="no published labels"):
        evaluate(bright, replace(index, splits={"test": bare}), small, "test", index.preprocess, 2)
