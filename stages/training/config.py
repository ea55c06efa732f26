"""The settings that training stages share. Defaults are the paper's (section 4.2) and its baseline's."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt

from pipeline.stage import Mark, StageConfig

Precision = Literal["auto", "fp32", "bf16-mixed", "fp16-mixed"]
Split = Literal["val", "test"]


def rising(bounds: tuple[float, float]) -> tuple[float, float]:
    """A range of factors; ValueError where it is empty or not above 0."""
    if not 0 < bounds[0] <= bounds[1]:
        raise ValueError("needs 0 < low <= high")
    return bounds


class OptimiserConfig(StageConfig):
    """SGD with poly decay."""

    iterations: int = Field(40_000, ge=0)
    """Optimiser steps; 0 publishes the network as its weights file has it."""
    batch: int = Field(8, ge=1)
    """Images a step, over all processes."""
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
    checkpoint_iterations: Annotated[int, Mark.NEUTRAL] = Field(200, ge=1)
    """Steps between two resume checkpoints."""


class TrainingConfig(OptimiserConfig):
    """Training of a segmentation network on augmented crops."""

    crop_px: tuple[PositiveInt, PositiveInt] = (512, 512)
    """Height and width of a training crop."""
    scale: Annotated[tuple[float, float], AfterValidator(rising)] = (0.7, 2.1)
    """Range of the random scale, relative to `data.size_px`."""
    mirror: bool = True
    """Whether crops are mirrored at random."""
    evaluate: tuple[Split, ...] = ("val", "test")
    """Splits that are scored after training; splits without images are left out."""
    workers: Annotated[int, Mark.NEUTRAL] = Field(2, ge=0)
    """Processes that load images."""
