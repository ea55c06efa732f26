"""The first rows of a picture equal those of the whole, whatever kind of file it is."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.datasets.top_rows import top_rows, top_rows_of_ids
from stages.preprocess import read_image

NOISE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize("rows", [1, 17, 30])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "LA"])
def test_png_of_any_mode(tmp_path: Path, mode: str, rows: int) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(NOISE).convert(mode).save(path)
    assert np.array_equal(top_rows(path.read_bytes(), rows), read_image(path)[:rows])


@pytest.mark.parametrize(("name", "options"), [("a.jpg", {}), ("a.png", {"exif": turned()}), ("a.bmp", {})])
def test_what_cannot_stop_early_is_decoded_whole(tmp_path: Path, name: str, options: dict) -> None:
    Image.fromarray(NOISE).save(tmp_path / name, **options)
    assert np.array_equal(top_rows((tmp_path / name).read_bytes(), 11), read_image(tmp_path / name)[:11])


@pytest.mark.parametrize("mode", ["L", "P"])
def test_labels_keep_their_values(tmp_path: Path, mode: str) -> None:
    ids = Image.fromarray(NOISE[..., 0])
    if mode == "P":
        ids.putpalette(bytes(range(256)) * 3)
    ids.save(tmp_path / "a.png")
    assert np.array_equal(top_rows_of_ids((tmp_path / "a.png").read_bytes(), 9), NOISE[:9, :, 0])


def test_less_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    large = np.tile(NOISE, (10, 10, 1))
    Image.fromarray(large).save(path, compress_level=0)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2 :] = bytes(len(damaged) - len(damaged) // 2)
    path.write_bytes(damaged)
    with pytest.raises((OSError, SyntaxError)):
        read_image(path)
    assert np.array_equal(top_rows(bytes(damaged), 10), large[:10])
