"""The synthetic scenes: fixed by their seed, and hard where they claim to be."""

import numpy as np
import pytest

from stages.datasets import scene

SIZE_PX = (128, 256)


@pytest.fixture(scope="module")
def scenes() -> list[tuple[np.ndarray, np.ndarray]]:
    return [scene.render(SIZE_PX, np.random.default_rng(i)) for i in range(24)]


def test_a_scene_is_fixed_by_its_seed() -> None:
    once, again, other = (scene.render((48, 64), np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(once[0], again[0]) and np.array_equal(once[1], again[1])
    assert not np.array_equal(once[0], other[0])


@pytest.mark.parametrize("size_px", [(16, 16), (40, 30), (64, 200)])
def test_any_size(size_px: tuple[int, int]) -> None:
    image, ids = scene.render(size_px, np.random.default_rng(0))
    assert image.shape == (*size_px, 3) and image.dtype == np.uint8
    assert ids.shape == size_px and ids.dtype == np.uint8


def test_every_class_occurs(scenes: list[tuple[np.ndarray, np.ndarray]]) -> None:
    counts = sum(np.bincount(ids.ravel(), minlength=9) for _, ids in scenes)
    assert (counts / counts.sum() > 0.003).all()


def interior(ids: np.ndarray, id: int) -> np.ndarray:
    """Pixels of a class in the lower part of an image, where nothing is hazy, away from other classes."""
    mask = ids == id
    mask[: ids.shape[0] * 3 // 4] = False
    inner = mask.copy()
    for shift in (-3, 3):
        inner &= np.roll(mask, shift, axis=0) & np.roll(mask, shift, axis=1)
    return inner


def pixels_and_grain(scenes: list[tuple[np.ndarray, np.ndarray]], id: int) -> tuple[np.ndarray, float]:
    """Mean colour of a class over all scenes, and its mean step between neighbouring columns."""
    colours, steps = [], []
    for image, ids in scenes:
        inner = interior(ids, id)
        if inner.sum() > 200:
            grey = image.mean(axis=2)
            colours.append(image[inner].mean(axis=0))
            steps.append(np.abs(grey - np.roll(grey, 1, axis=1))[inner].mean() / grey[inner].std())
    return np.mean(colours, axis=0), float(np.mean(steps))


def test_grass_and_hedge_differ_by_grain_alone() -> None:
    for seed in range(8):
        grass, hedge = (scene.greens(np.full(SIZE_PX, kind), np.random.default_rng(seed)) for kind in (False, True))
        assert grass.mean(axis=(0, 1)) == pytest.approx(hedge.mean(axis=(0, 1)), rel=1e-3)
        assert grass.std() == pytest.approx(hedge.std(), rel=1e-3)
        assert np.abs(np.diff(grass, axis=1)).mean() > 2 * np.abs(np.diff(hedge, axis=1)).mean()


def test_lanes_look_alike(scenes: list[tuple[np.ndarray, np.ndarray]]) -> None:
    middle, side = (pixels_and_grain(scenes, id) for id in (scene.MIDDLE_LANE, scene.SIDE_LANE))
    assert np.abs(middle[0] - side[0]).max() < 8
    assert middle[1] == pytest.approx(side[1], rel=0.25)


def test_mirroring_keeps_the_rule_of_the_lanes(scenes: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for _, ids in scenes:
        row = ids[-20]
        road = np.flatnonzero((row == scene.MIDDLE_LANE) | (row == scene.SIDE_LANE))
        middle = np.flatnonzero(row == scene.MIDDLE_LANE)
        if len(middle) and road[0] > 0 and road[-1] < len(row) - 1:
            assert abs((middle[0] + middle[-1]) - (road[0] + road[-1])) <= 30
