"""The picture of a training: which numbers go into which panel, and that it is drawn."""

from pathlib import Path

from PIL import Image

from stages.training.record.curve import draw_curve, panels_of

ROWS = [
    {"iteration": 0, "seconds": 1.0, "lr": 0.1, "total": 3.0, "supervised": 2.0, "holistic_critic": -4.0},
    {
        "iteration": 9,
        "seconds": 2.0,
        "lr": 0.05,
        "total": 1.0,
        "supervised": 0.1,
        "holistic_critic": 1.0,
        "val_miou": 0.5,
        "norm_before_clip": None,
        "term_seconds": {"supervised": 1.0},
    },
]


def test_the_panels() -> None:
    assert panels_of(ROWS) == {
        "terms": {"total": ([0, 9], [3.0, 1.0]), "supervised": ([0, 9], [2.0, 0.1])},
        "critics": {"holistic_critic": ([0, 9], [-4.0, 1.0])},
        "val": {"mIoU on val, %": ([9], [50.0])},
        "lr": {"learning rate": ([0, 9], [0.1, 0.05])},
    }


def test_it_is_drawn(tmp_path: Path) -> None:
    draw_curve(tmp_path / "curve.png", ROWS, "Student")
    draw_curve(tmp_path / "few.png", [{"iteration": 0, "seconds": 1.0, "lr": 0.1, "total": 0.5}], "Teacher")
    with Image.open(tmp_path / "curve.png") as four, Image.open(tmp_path / "few.png") as two:
        assert four.height > two.height
