from pathlib import Path

import numpy as np
from PIL import Image

from stages.training.record.share_picture import draw_gradient_share


def row(iteration: int, first: float) -> dict:
    return {
        "iteration": iteration,
        "gradient_at": "layer.weight",
        "gradient_share": {"supervised": first, "inter_class": 1 - first},
    }


def test_a_picture_of_two_terms(tmp_path: Path) -> None:
    history = [row(0, 0.9), {"iteration": 10}, row(20, 0.5)]
    assert draw_gradient_share(history, "Method idd", tmp_path / "share.png")
    picture = np.asarray(Image.open(tmp_path / "share.png").convert("RGB"))
    assert picture.shape[0] > 300 and picture.shape[1] > 600
    colours = {tuple(colour) for colour in picture.reshape(-1, 3)[::7].tolist()}
    assert {(31, 119, 180), (255, 127, 14)} <= colours, "each term has its area"


def test_nothing_to_draw(tmp_path: Path) -> None:
    assert not draw_gradient_share([{"iteration": 0}, row(10, 0.5)], "Method none", tmp_path / "share.png")
    assert not (tmp_path / "share.png").exists()
