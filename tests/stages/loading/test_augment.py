"""Random crops: image and label move together, equal a crop of the whole scaled image, on the CPU and by torch."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pipeline.errors import RecipeError
from stages.loading.augment import Augmentation, Draw, Span, crop_into, crop_on_device, draw, draw_span
from stages.preprocess import PAD_RGB
from stages.training.config import Jitter


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def identified(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose red channel equals its label."""
    labels = rng().integers(0, 200, (height, width), dtype=np.uint8)
    return np.repeat(labels[..., None], 3, axis=2), labels


def cut(image: np.ndarray, labels: np.ndarray, drawn: Draw, crop_px: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    crops = np.empty((*crop_px, 3), np.uint8), np.empty(crop_px, np.uint8)
    crop_into(image, labels, drawn, *crops)
    return crops


def random_crop(
    image: np.ndarray, labels: np.ndarray, augmentation: Augmentation, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    return cut(image, labels, draw(labels.shape, augmentation, rng(seed)), augmentation.crop_px)


@pytest.mark.parametrize("seed", range(6))
def test_crops_at_scale_one_are_cut_out(seed: int) -> None:
    image, labels = identified(20, 30)
    crop, ids = random_crop(image, labels, Augmentation((8, 12), (1, 1), mirror=True), seed)
    assert crop.shape == (8, 12, 3) and ids.shape == (8, 12)
    assert np.array_equal(crop[..., 0], ids)
    windows = np.lib.stride_tricks.sliding_window_view(labels, (8, 12)).reshape(-1, 8, 12)
    assert any(np.array_equal(ids, w) or np.array_equal(ids[:, ::-1], w) for w in windows)


def test_half_of_the_crops_are_mirrored() -> None:
    image, labels = identified(6, 6)
    cuts = [random_crop(image, labels, Augmentation((6, 6), (1, 1)), i)[1] for i in range(200)]
    mirrored = sum(np.array_equal(ids, labels[:, ::-1]) for ids in cuts)
    assert mirrored + sum(np.array_equal(ids, labels) for ids in cuts) == 200
    assert 70 < mirrored < 130
    plain = Augmentation((6, 6), (1, 1), mirror=False)
    assert all(np.array_equal(random_crop(image, labels, plain, i)[1], labels) for i in range(20))


@pytest.mark.parametrize("seed", range(4))
def test_a_small_image_is_padded(seed: int) -> None:
    image, labels = identified(5, 7)
    crop, ids = random_crop(image, labels, Augmentation((9, 16), (1, 1), mirror=False), seed)
    inside = ids != 255
    assert inside.sum() == labels.size
    assert np.array_equal(ids[inside], labels.ravel()) and np.array_equal(crop[inside][:, 0], labels.ravel())
    assert (crop[~inside] == PAD_RGB).all()


def test_padding_of_a_mirrored_crop_keeps_its_place() -> None:
    image, labels = identified(4, 4)
    drawn = Draw(Span(0, 4, 1, 4), Span(0, 4, 2, 4), mirrored=True)
    crop, ids = cut(image, labels, drawn, (6, 9))
    assert np.array_equal(ids[1:5, 2:6], labels[:, ::-1]) and (ids[0] == 255).all() and (ids[:, 6:] == 255).all()
    assert (crop[0] == PAD_RGB).all()


@pytest.mark.parametrize(("window", "count"), [((10, 8), (20, 16)), ((20, 30), (15, 20)), ((30, 44), (31, 47))])
def test_resampling_equals_torch(window: tuple[int, int], count: tuple[int, int]) -> None:
    image = rng().integers(0, 256, (30, 44, 3), dtype=np.uint8)
    labels = image[..., 0].copy()
    rows, columns = (Span(n - w, w, 0, c) for n, w, c in zip((30, 44), window, count, strict=True))
    crop, ids = cut(image, labels, Draw(rows, columns, False), count)
    part = torch.from_numpy(image[rows.source, columns.source].copy()).permute(2, 0, 1)[None].float()
    expected = F.interpolate(part, size=count, mode="bilinear", align_corners=False)[0].permute(1, 2, 0).numpy()
    assert np.abs(crop - expected).max() <= 1
    under = [
        [math.floor(span.first + Fraction((2 * j + 1) * span.window, 2 * span.count)) for j in range(span.count)]
        for span in (rows, columns)
    ]
    assert np.array_equal(ids, labels[np.ix_(*under)])


@pytest.mark.parametrize("seed", range(8))
def test_the_device_cuts_the_same_crops(seed: int) -> None:
    image = rng().integers(0, 256, (30, 44, 3), dtype=np.uint8)
    labels = rng(1).integers(0, 9, (30, 44), dtype=np.uint8)
    jitter = Jitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1) if seed % 2 else Jitter()
    augmentation = Augmentation((24, 24), (0.5, 2.0), jitter=jitter)
    drawn = draw((30, 44), augmentation, rng(seed))
    crop, ids = cut(image, labels, drawn, (24, 24))
    batch = torch.from_numpy(image)[None], torch.from_numpy(labels)[None]
    crops, all_ids = crop_on_device(*batch, [drawn], (24, 24))
    assert crops.dtype == all_ids.dtype == torch.uint8
    assert np.array_equal(all_ids[0].numpy(), ids)
    assert np.abs(crops[0].numpy().astype(int) - crop.astype(int)).max() <= (3 if seed % 2 else 1)


def test_the_scale_is_the_drawn_one_to_half_a_pixel() -> None:
    generator = rng()
    for _ in range(200):
        scale = generator.uniform(0.7, 2.1)
        span = draw_span(1000, scale, 512, generator)
        assert abs(span.window - 512 / scale) <= 0.5 and span.count == 512 and span.first + span.window <= 1000


def test_spans_reach_both_ends() -> None:
    generator = rng()
    inside = {draw_span(10, 1.0, 7, generator).first for _ in range(200)}
    assert inside == {0, 1, 2, 3}
    around = {draw_span(10, 1.0, 12, generator).offset for _ in range(200)}
    assert around == {0, 1, 2}


def test_colours_are_drawn_last() -> None:
    plain, coloured = (
        draw((30, 44), Augmentation((8, 8), jitter=jitter), rng(3)) for jitter in (Jitter(), Jitter(hue=0.1))
    )
    assert (plain.rows, plain.columns, plain.mirrored) == (coloured.rows, coloured.columns, coloured.mirrored)
    assert plain.colour is None and coloured.colour is not None


@pytest.mark.parametrize("wrong", [{"scale": (2.0, 1.0)}, {"scale": (0.0, 1.0)}, {"crop_px": (0, 8)}])
def test_empty_ranges_are_refused(wrong: dict) -> None:
    with pytest.raises(RecipeError, match="needs 0 < low <= high"):
        Augmentation(**{"crop_px": (8, 8), **wrong})
