"""A small data set in the layout of the `folder` source."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CLASSES_CSV = "id,name,r,g,b,ignore\n0,road,1,2,3,0\n5,void,0,0,0,1\n7,sky,9,9,9,0\n"


def write_pair(root: Path, name: str, seed: int, size_hw: tuple[int, int] = (12, 16)) -> None:
    rng = np.random.default_rng(seed)
    for top in ("images", "labels"):
        (root / top).mkdir(exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8)).save(root / f"images/{name}.png")
    ids = rng.choice(np.array([0, 5, 7, 255], np.uint8), size_hw)
    Image.fromarray(ids).save(root / f"labels/{name}.png")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Root of six pairs a..f with lists: train a-c, val d, test e-f."""
    root = tmp_path / "small"
    root.mkdir()
    for seed, name in enumerate("abcdef"):
        write_pair(root, name, seed)
    (root / "classes.csv").write_text(CLASSES_CSV)
    for split, names in (("train", "abc"), ("val", "d"), ("test", "ef")):
        lines = [f"images/{name}.png labels/{name}.png\n" for name in names]
        (root / f"{split}.txt").write_text("".join(lines))
    return root
