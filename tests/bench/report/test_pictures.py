"""The pictures of a report: which are chosen, and what is embedded of them."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.report.pictures import EACH, Scored, chosen, rank, shrunk, small_labels, worst_and_best
from pipeline.stage import Context
from stages import data
from stages.datasets.index import Index, LabelClass, read_index
from stages.datasets.pixels import read_fitted
from stages.preprocess import Preprocess


def make_context(folder: Path) -> Context:
    @contextmanager
    def progress(title: str, total: int, done: int) -> Iterator[Any]:
        yield SimpleNamespace(step=lambda images, terms: None)

    for name in ("work", "scratch"):
        (folder / name).mkdir(parents=True)
    return Context(folder / "work", folder / "scratch", "cpu", {}, lambda line: None, progress)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data artifact with three test pictures."""
    ctx = make_context(tmp_path_factory.mktemp("data"))
    data.run(ctx, {}, data.Config(size_px=(32, 64), train_images=1, val_images=0, test_images=3))
    return ctx.work


def decoded(uri: str) -> Image.Image:
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


def test_worst_first_ties_in_order() -> None:
    scored = [Scored(0, "a", 0.5), Scored(1, "b", 0.2), Scored(2, "c", 0.5)]
    assert [one.image for one in rank(scored)] == ["b", "a", "c"]


@pytest.mark.parametrize(("count", "worst", "best"), [(0, 0, 0), (1, 1, 0), (2, 1, 1), (5, 3, 2), (20, EACH, EACH)])
def test_each_end_and_none_twice(count: int, worst: int, best: int) -> None:
    found = chosen([Scored(i, str(i), i / 20) for i in range(count)])
    assert [rank_ for rank_, _ in found] == ["worst"] * worst + ["best"] * best
    assert len({one.position for _, one in found}) == worst + best
    if best:
        assert found[worst][1].position == count - 1


def test_large_pictures_are_shrunk_and_small_ones_left() -> None:
    assert shrunk((1024, 2048)) == (128, 256)
    assert shrunk((32, 64)) == (32, 64)


def test_labels_wear_the_classes_colours() -> None:
    classes = (LabelClass(0, "road", (9, 8, 7)), LabelClass(1, "pole", (1, 2, 3)))
    index = Index("streets", Preprocess(1, 3), True, (), {}, classes)
    image = small_labels(np.array([[0, 1, 255]], dtype=np.uint8), index, (3, 1))
    assert np.asarray(image.convert("RGB")).tolist() == [[[9, 8, 7], [1, 2, 3], [0, 0, 0]]]


def test_the_student_that_is_right_on_one_picture_is_best_there(folder: Path, tmp_path: Path) -> None:
    index = read_index(folder)
    pairs = [read_fitted(folder, sample, index) for sample in index.samples("test")]
    right_image, right_label = pairs[1]

    def student(image_HWC: np.ndarray) -> np.ndarray:
        return right_label if np.array_equal(image_HWC, right_image) else np.zeros((32, 64), dtype=np.uint8)

    found = worst_and_best(make_context(tmp_path), folder, "test", {"teacher": student, "student": student})

    assert found["scored_images"] == 3
    best = [item for item in found["items"] if item["rank"] == "best"]
    assert [(item["image"], item["miou"]) for item in best] == [(index.samples("test")[1].image, 1.0)]
    assert all(item["miou"] < 0.5 for item in found["items"] if item["rank"] == "worst")
    assert best[0]["predictions"]["student"] == best[0]["label"]
    assert decoded(best[0]["picture"]).size == decoded(best[0]["label"]).size == (64, 32)
    assert found["colours"].keys() == {label.name for label in index.classes}
