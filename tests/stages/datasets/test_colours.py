"""A label of colours: the ids that its colours stand for are offered."""

import numpy as np

from stages.datasets.colours import colours_as_ids
from stages.datasets.layout import ClassRow

CLASSES = (ClassRow(3, "road", (128, 64, 128), False), ClassRow(4, "sky", (0, 0, 255), False))


def test_the_palette_names_known_and_unknown_colours() -> None:
    label = np.array([[[128, 64, 128], [0, 0, 255], [1, 2, 3]]], np.uint8)
    text, palette = colours_as_ids(label, CLASSES)
    assert palette == {"#804080": 3, "#0000ff": 4, "#010203": None}
    assert "#804080 = 3 road" in text and "no class has #010203" in text


def test_no_known_colour() -> None:
    text, palette = colours_as_ids(np.full((2, 2, 3), 7, np.uint8), CLASSES)
    assert palette == {"#070707": None} and "none of its colours is a class's" in text


def test_a_photo_is_no_palette() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    text, palette = colours_as_ids(noise, CLASSES)
    assert palette == {} and "too many for classes" in text
