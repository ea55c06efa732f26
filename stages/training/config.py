"""The settings that every training stage shares. Defaults are the paper's (section 4.2) and its baseline's."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.stage import Mark, StageConfig

Precision = Literal["auto", "fp32", "bf16-mixed", "fp16-mixed"]
Split = Literal["val", "test"]


class TrainingConfig(StageConfig):
    """SGD with poly decay on augmented crops."""

    iterations: int = Field(40_000, ge=0)
    """Optimiser steps; 0 publishes the network as its weights file has it."""
    batch: int = Field(8, ge=1)
    """Images a step, over all processes."""
    crop_px: tuple[int, int] = (512, 512)
    """Height and width of a training crop."""
    scale: tuple[float, float] = (0.7, 2.1)
    """Range of the random scale, relative to `data.size_px`."""
    mirror: bool = True
    """Whether crops are mirrored at random."""
    lr: float = Field(0.01, gt=0)
    """Base learning rate."""
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(5e-4, ge=0)
    poly_power: float = Field(0.9, ge=0)
    """Learning rate = lr * (1 - progress) ** poly_power."""
    warmup: float = Field(0.0, ge=0, lt=1)
    """Share of the iterations in which the learning rate rises linearly to its base."""
    precision: Precision = "auto"
    """`auto` takes bf16 where the device computes it natively, fp32 elsewhere."""
    channels_last: bool = True
    seed: int = Field(0, ge=0)
    evaluate: tuple[Split, ...] = ("val", "test")
    """Splits that are scored after training; splits without images are left out."""
    workers: Annotated[int, Mark.NEUTRAL] = Field(2, ge=0)
    """Processes that load images."""
    checkpoint_iterations: Annotated[int, Mark.NEUTRAL] = Field(200, ge=1)
    """Steps between two resume checkpoints."""
