"""The rule by which pictures come to the network's grid and labels go back."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.preprocess import PAD_RGB, Preprocess, fit, placement, read_image, restore


def test_json_round_trip() -> None:
    pre = Preprocess(96, 128, "letterbox")
    assert Preprocess.from_json(json.loads(json.dumps(pre.to_json()))) == pre


def test_json_holds_the_whole_contract() -> None:
    assert Preprocess(96, 128).to_json() == {
        "height": 96,
        "width": 128,
        "resize": "stretch",
        "decoder": "Pillow",
        "exif_orientation": "applied",
        "color": "RGB",
        "interpolation": "Pillow BILINEAR",
        "pad_rgb": [124, 116, 104],
        "layout": "NHWC",
        "dtype": "uint8",
        "labels_back": "nearest",
    }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"interpolation": "bicubic"},
            r"interpolation 'bicubic', preprocess\.py does 'Pillow BILINEAR'; use the two of",
        ),
        ({"color": None}, "color None, .* does 'RGB'"),
        ({"pad_rgb": [0, 0, 0]}, r"pad_rgb \[0, 0, 0\], .* does \[124, 116, 104\]"),
        ({"resize": "crop"}, "resize 'crop', .* knows stretch or letterbox"),
    ],
)
def test_json_that_asks_for_something_else_is_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told) as raised:
        Preprocess.from_json(Preprocess(96, 128).to_json() | change)
    assert "\n" not in str(raised.value)


def test_json_without_a_part_of_the_contract_is_refused() -> None:
    with pytest.raises(ValueError, match="decoder None"):
        Preprocess.from_json({"height": 96, "width": 128, "resize": "stretch"})


def test_read_image_turns_upright_and_gives_rgb(tmp_path: Path) -> None:
    picture = np.zeros((10, 20), np.uint8)
    picture[:, :5] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the left edge is the upper one
    Image.fromarray(picture).save(tmp_path / "turned.png", exif=exif)
    image = read_image(tmp_path / "turned.png")
    assert image.shape == (20, 10, 3) and image.dtype == np.uint8
    assert (image[:5] == 200).all() and (image[5:] == 0).all()


def test_fit_stretches_as_pillow_does() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image).resize((24, 16), Image.Resampling.BILINEAR))
    assert np.array_equal(fit(image, Preprocess(16, 24)), expected)


def test_fit_leaves_a_picture_of_the_right_size_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    assert np.array_equal(fit(image, Preprocess(16, 24)), image)


def test_letterbox_keeps_the_aspect_ratio_and_pads_evenly() -> None:
    pre = Preprocess(40, 40, "letterbox")
    assert placement(pre, (10, 20)) == (10, 0, 20, 40)
    fitted = fit(np.full((10, 20, 3), 9, np.uint8), pre)
    assert (fitted[10:30] == 9).all()
    assert (fitted[:10] == PAD_RGB).all() and (fitted[30:] == PAD_RGB).all()


@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_restore_undoes_an_enlargement_exactly(resize: str) -> None:
    labels = np.random.default_rng(0).integers(0, 5, (8, 12), dtype=np.uint8)
    pre = Preprocess(32, 48 if resize == "stretch" else 64, resize)
    top, left, height, width = placement(pre, labels.shape)
    assert (height, width) == (32, 48)
    on_grid = np.full((pre.height, pre.width), 77, np.uint8)
    on_grid[top : top + height, left : left + width] = labels.repeat(4, axis=0).repeat(4, axis=1)
    assert np.array_equal(restore(on_grid, pre, labels.shape), labels)
