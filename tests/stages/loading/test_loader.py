"""The stream of training batches: the same however it is loaded and wherever it starts."""

from pathlib import Path

import pytest
import torch

from pipeline.errors import DataError
from pipeline.group.ranks import Group
from stages.datasets.checks import check
from stages.datasets.config import DataConfig
from stages.datasets.folder import collect
from stages.datasets.index import Index, label_map, network_classes
from stages.loading.augment import Augmentation
from stages.loading.loader import Batch, epoch_order, training_batches
from stages.loading.pictures import Pictures
from stages.preprocess import Preprocess
from stages.training.config import Jitter

AUGMENTATION = Augmentation((10, 12), (0.7, 2.1), jitter=Jitter(contrast=0.2, hue=0.1))
BATCH = 2


@pytest.fixture
def index(small: Path) -> Index:
    layout = collect(DataConfig(source="folder", root=small), small)
    rows, samples = layout.classes, check(layout, False, lambda n: None).splits
    return Index("small", Preprocess(9, 14), False, label_map(rows), samples, network_classes(rows))


def stream(
    index: Index,
    root: Path,
    start: int = 0,
    stop: int = 6,
    workers: int = 0,
    seed: int = 0,
    keep: str = "auto",
    device: str | None = None,
) -> list[Batch]:
    pictures = Pictures(index, root, "train", keep, root.parent / "decoded")
    return list(training_batches(pictures, AUGMENTATION, BATCH, seed, start, stop, workers, device))


def equal(a: list[Batch], b: list[Batch]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x, y) for one, two in zip(a, b, strict=True) for x, y in zip(one, two, strict=True)
    )


def test_shapes_and_types(index: Index, small: Path) -> None:
    batch = stream(index, small, stop=1)[0]
    assert batch.images_NHWC.shape == (2, 10, 12, 3) and batch.images_NHWC.dtype == torch.uint8
    assert batch.labels_NHW.shape == (2, 10, 12) and batch.labels_NHW.dtype == torch.uint8
    assert set(batch.labels_NHW.unique().tolist()) <= {0, 1, 255}


@pytest.mark.parametrize("workers", [1, 2, 64])
def test_workers_do_not_change_the_stream(index: Index, small: Path, workers: int) -> None:
    assert equal(stream(index, small, workers=workers), stream(index, small))


def test_a_later_start_continues_the_stream(index: Index, small: Path) -> None:
    assert equal(stream(index, small, start=4), stream(index, small)[4:])


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_leaves_the_random_numbers_of_training_alone(index: Index, small: Path, workers: int) -> None:
    before = torch.get_rng_state()
    stream(index, small, workers=workers)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_changes_the_stream(index: Index, small: Path) -> None:
    assert not equal(stream(index, small, seed=1), stream(index, small))


@pytest.mark.parametrize("keep", ["memory", "disk", "none"])
def test_what_is_kept_does_not_change_the_stream(index: Index, small: Path, keep: str) -> None:
    assert equal(stream(index, small, keep=keep, workers=1), stream(index, small))


@pytest.mark.parametrize("workers", [0, 1])
def test_the_device_makes_the_same_stream(index: Index, small: Path, workers: int) -> None:
    for one, two in zip(stream(index, small, workers=workers, device="cpu"), stream(index, small), strict=True):
        assert torch.equal(one.labels_NHW, two.labels_NHW)
        assert (one.images_NHWC.int() - two.images_NHWC.int()).abs().max() <= 3


def test_every_epoch_is_another_permutation() -> None:
    orders = [epoch_order(0, epoch, 50).tolist() for epoch in range(3)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] != orders[1] != orders[2]
    assert epoch_order(1, 0, 50).tolist() != orders[0]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_missing_file_is_named_in_one_line(index: Index, small: Path, workers: int) -> None:
    (small / "images/b.png").unlink()
    with pytest.raises(DataError, match=r"no file .*b.png") as caught:
        stream(index, small, workers=workers, keep="none")
    assert "\n" not in str(caught.value)


def test_torchs_own_generator_is_left_alone(index: Index, small: Path) -> None:
    before = torch.get_rng_state()
    stream(index, small)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("device", [None, "cpu"])
def test_the_shares_of_all_processes_are_the_stream(index: Index, small: Path, world: int, device: str | None) -> None:
    pictures = Pictures(index, small, "train")
    parts = [
        list(training_batches(pictures, AUGMENTATION, BATCH, 0, 0, 6, 0, device, Group(rank, world)))
        for rank in range(world)
    ]
    joined = [Batch(*map(torch.cat, zip(*shares, strict=True))) for shares in zip(*parts, strict=True)]
    assert equal(joined, stream(index, small, device=device))
