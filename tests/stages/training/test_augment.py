"""Random crops: image and label move together, and equal a crop of the whole scaled image."""

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import RecipeError
from stages.preprocess import PAD_RGB
from stages.training.augment import Augmentation, Span, draw_span, random_crop, resample


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def identified(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose red channel equals its label."""
    labels = rng().integers(0, 200, (height, width), dtype=np.uint8)
    return np.repeat(labels[..., None], 3, axis=2), labels


@pytest.mark.parametrize("seed", range(6))
def test_crops_at_scale_one_are_cut_out(seed: int) -> None:
    image, labels = identified(20, 30)
    crop, cut = random_crop(image, labels, Augmentation((8, 12), (1, 1), mirror=True), rng(seed))
    assert crop.shape == (8, 12, 3) and cut.shape == (8, 12)
    assert np.array_equal(crop[..., 0], cut)
    windows = np.lib.stride_tricks.sliding_window_view(labels, (8, 12)).reshape(-1, 8, 12)
    assert any(np.array_equal(cut, w) or np.array_equal(cut[:, ::-1], w) for w in windows)


def test_half_of_the_crops_are_mirrored() -> None:
    image, labels = identified(6, 6)
    cuts = [random_crop(image, labels, Augmentation((6, 6), (1, 1)), rng(i))[1] for i in range(200)]
    mirrored = sum(np.array_equal(cut, labels[:, ::-1]) for cut in cuts)
    assert mirrored + sum(np.array_equal(cut, labels) for cut in cuts) == 200
    assert 70 < mirrored < 130
    plain = Augmentation((6, 6), (1, 1), mirror=False)
    assert all(np.array_equal(random_crop(image, labels, plain, rng(i))[1], labels) for i in range(20))


@pytest.mark.parametrize("seed", range(4))
def test_a_small_image_is_padded(seed: int) -> None:
    image, labels = identified(5, 7)
    crop, cut = random_crop(image, labels, Augmentation((9, 16), (1, 1), mirror=False), rng(seed))
    inside = cut != 255
    assert inside.sum() == labels.size
    assert np.array_equal(cut[inside], labels.ravel()) and np.array_equal(crop[inside][:, 0], labels.ravel())
    assert (crop[~inside] == PAD_RGB).all()


@pytest.mark.parametrize(("scaled", "crop"), [((31, 47), (16, 20)), ((62, 92), (32, 32)), ((14, 16), (14, 16))])
def test_the_crop_equals_scaling_everything_first(scaled: tuple[int, int], crop: tuple[int, int]) -> None:
    image = rng().integers(0, 256, (30, 44, 3), dtype=np.uint8)
    labels = image[..., 0].copy()
    whole = np.asarray(Image.fromarray(image).resize(scaled[::-1], Image.Resampling.BILINEAR)).astype(int)
    whole_labels = np.asarray(Image.fromarray(labels).resize(scaled[::-1], Image.Resampling.NEAREST))
    first = [(s - c) // 2 for s, c in zip(scaled, crop, strict=True)]
    spans = [Span(n, s, f, c, 0) for n, s, f, c in zip((30, 44), scaled, first, crop, strict=True)]
    window = np.s_[first[0] : first[0] + crop[0], first[1] : first[1] + crop[1]]
    assert np.abs(resample(image, *spans).astype(int) - whole[window]).max() <= 1
    assert np.array_equal(labels[spans[0].nearest][:, spans[1].nearest], whole_labels[window])


def test_spans_reach_both_ends() -> None:
    generator = rng()
    inside = {draw_span(10, 1.0, 7, generator).first for _ in range(200)}
    assert inside == {0, 1, 2, 3}
    around = {draw_span(10, 1.0, 12, generator).offset for _ in range(200)}
    assert around == {0, 1, 2}


@pytest.mark.parametrize("wrong", [{"scale": (2.0, 1.0)}, {"scale": (0.0, 1.0)}, {"crop_px": (0, 8)}])
def test_empty_ranges_are_refused(wrong: dict) -> None:
    with pytest.raises(RecipeError, match="needs 0 < low <= high"):
        Augmentation(**{"crop_px": (8, 8), **wrong})
