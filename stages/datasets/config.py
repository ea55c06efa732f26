"""How a recipe names its data."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from pipeline.stage import AbsentAt, Mark, StageConfig


class DataConfig(StageConfig):
    """Part `[data]` of a recipe."""

    source: str = "synthetic"
    """Name in the catalogue of sources: `synthetic`, `cityscapes`, `voc`, `ade20k`, `camvid` or `folder`."""
    root: Annotated[Path | None, Mark.MACHINE] = None
    """Folder of the data set on this machine; `synthetic` needs none."""
    size_px: tuple[PositiveInt, PositiveInt] = (128, 256)
    """Height and width of what the networks see."""
    resize: Literal["stretch", "letterbox"] = "stretch"
    """How pictures of another size come to `size_px`."""
    holdout: tuple[str, ...] = ()
    """Training samples whose file name starts with one of these become the val split, in place of its own."""
    train_list: Annotated[Literal["train", "train_aug"], AbsentAt("train")] = "train"
    """`voc`: `train` are the 1,464 images of VOC itself, `train_aug` the 10,582 with SBD's, if its list was added."""
    train_images: int = Field(320, ge=1)
    """`synthetic`: images of the train split."""
    val_images: int = Field(32, ge=0)
    """`synthetic`: images of the val split."""
    test_images: int = Field(64, ge=0)
    """`synthetic`: images of the test split."""
    seed: int = Field(0, ge=0)
    """`synthetic`: seed of the scenes."""
