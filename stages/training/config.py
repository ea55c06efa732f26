"""The settings that training stages share. Defaults are the paper's (section 4.2) and its baseline's."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from pipeline.stage import AbsentAt, Mark, StageConfig

Precision = Literal["auto", "fp32", "bf16-mixed", "fp16-mixed"]
Split = Literal["val", "test"]
Strength = Annotated[float, Field(ge=0, lt=1)]


def rising(bounds: tuple[float, float]) -> tuple[float, float]:
    """A range of factors; ValueError where it is empty or not above 0."""
    if not 0 < bounds[0] <= bounds[1]:
        raise ValueError("needs 0 < low <= high")
    return bounds


class OptimiserConfig(StageConfig):
    """SGD with poly decay, as published, and what else is usual."""

    iterations: int = Field(40_000, ge=0)
    """Optimiser steps; 0 publishes the network as its weights file has it."""
    batch: int = Field(8, ge=1)
    """Images a step, over all processes."""
    accumulate: Annotated[int, AbsentAt(1)] = Field(1, ge=1)
    """Equal parts into which a step's images are cut, one after the other: less memory, the same terms
    (stages/training/parts.py says what differs)."""
    optimiser: Annotated[Literal["sgd", "adamw"], AbsentAt("sgd")] = "sgd"
    """`adamw` spares biases and the scales and shifts of norm layers its weight decay; `sgd` does not, as published."""
    lr: float = Field(0.01, gt=0)
    """Base learning rate."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of sgd; adamw has `betas`."""
    betas: Annotated[tuple[Strength, Strength], AbsentAt((0.9, 0.999))] = (0.9, 0.999)
    """Decay a step of adamw's means of the gradient and of its square."""
    weight_decay: float = Field(5e-4, ge=0)
    clip_norm: Annotated[float | None, AbsentAt(None)] = Field(None, gt=0)
    """Largest L2 norm of a step's whole gradient; a longer one is shortened. Absent: as it is."""
    ema: Annotated[float, AbsentAt(0.0)] = Field(0.0, ge=0, lt=1)
    """Decay a step of the moving average of the weights, which is what is scored and published; 0 for none."""
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
    tensorboard: Annotated[bool, Mark.NEUTRAL] = False
    """Whether the history is written for TensorBoard too, below `.pipeline/cache/tensorboard`."""

    @model_validator(mode="after")
    def whole_parts(self) -> Self:
        """ValueError where the images of a step cannot be cut into equal parts."""
        if self.batch % self.accumulate:
            raise ValueError(f"accumulate = {self.accumulate} does not divide batch = {self.batch}: give a divisor")
        return self


class Jitter(StageConfig):
    """How far colours are drawn from their own, as in torchvision's ColorJitter; 0 leaves them."""

    brightness: Strength = 0.0
    """Factor drawn from 1 - x to 1 + x."""
    contrast: Strength = 0.0
    """Factor on the distance from the crop's mean grey, drawn from 1 - x to 1 + x."""
    saturation: Strength = 0.0
    """Factor on the distance from each pixel's grey, drawn from 1 - x to 1 + x."""
    hue: float = Field(0.0, ge=0, le=0.5)
    """Turn of the hue as a share of the colour circle, drawn from -x to x."""

    @property
    def off(self) -> bool:
        """Whether nothing is drawn."""
        return not (self.brightness or self.contrast or self.saturation or self.hue)


class EvaluationConfig(StageConfig):
    """How a network is scored. At the defaults: whole images, once, as the exported file is."""

    window_px: tuple[PositiveInt, PositiveInt] | None = None
    """Height and width of a sliding window; absent for whole images."""
    stride: float = Field(2 / 3, gt=0, le=1)
    """Step of the window, as a share of its size; where windows overlap, their logits are averaged."""
    scales: tuple[Annotated[float, Field(gt=0)], ...] = Field((1.0,), min_length=1)
    """Scales of the image whose class probabilities are averaged."""
    mirror: bool = False
    """Whether the mirrored image's probabilities are averaged in."""
    boundary: float = Field(0.02, gt=0, lt=1)
    """Width of the boundary of boundary IoU, as a share of the label's diagonal (Cheng et al. 2021 use 0.02)."""
    subsets: tuple[str, ...] = ()
    """Beginnings of file names: the images of each are scored apart too, e.g. CamVid's `Seq05VD`."""

    @property
    def plain(self) -> bool:
        """Whether an image is seen once and whole."""
        return self.window_px is None and self.scales == (1.0,) and not self.mirror


class TrainingConfig(OptimiserConfig):
    """Training of a segmentation network on augmented crops."""

    crop_px: tuple[PositiveInt, PositiveInt] = (512, 512)
    """Height and width of a training crop."""
    scale: Annotated[tuple[float, float], AfterValidator(rising)] = (0.7, 2.1)
    """Range of the random scale, relative to `data.size_px`."""
    mirror: bool = True
    """Whether crops are mirrored at random."""
    jitter: Annotated[Jitter, AbsentAt(Jitter())] = Jitter()
    """Random colours, off by default as in the paper."""
    augment_on: Annotated[Literal["auto", "cpu", "gpu"], AbsentAt("auto")] = "auto"
    """Where crops are cut and scaled, from the same draws: `auto` takes the GPU where there is one."""
    batch_norm: Annotated[Literal["process", "sync", "frozen"], AbsentAt("process")] = "process"
    """Over which images it takes its statistics: `process` those of one process, `sync` those of all (GPUs only),
    `frozen` none: it keeps the statistics of the weights that it starts from."""
    evaluate: tuple[Split, ...] = ("val", "test")
    """Splits that are scored after training; splits without images or labels are left out."""
    evaluation: Annotated[EvaluationConfig, AbsentAt(EvaluationConfig())] = EvaluationConfig()
    """How they are scored."""
    compile: Annotated[bool, AbsentAt(False)] = False
    """Whether torch.compile makes the networks' forward and backward; needs a C++ compiler, on a GPU triton as well."""
    validate_iterations: Annotated[int, AbsentAt(0)] = Field(0, ge=0)
    """Steps between two scorings on val while it trains, the last one at the end; 0 scores after training alone."""
    keep: Annotated[Literal["last", "best"], AbsentAt("last")] = "last"
    """Weights that are published: the last, as in the paper, or the first of those with the best mIoU on val."""
    workers: Annotated[int, Mark.NEUTRAL] = Field(2, ge=0)
    """Processes that load images."""
    decoded: Annotated[Literal["auto", "memory", "disk", "none"], Mark.NEUTRAL] = "auto"
    """Where decoded images are kept: `disk` is one file a split, mapped into memory, shared by processes and runs;
    `memory` lasts as long as the stage; `auto` is `memory` up to 1 GiB, otherwise `none`: decoded each time."""

    @model_validator(mode="after")
    def best_of_something(self) -> Self:
        """ValueError where the best weights are wanted and none would be scored."""
        if self.keep == "best" and not self.validate_iterations:
            raise ValueError("keep = 'best' needs validate_iterations, e.g. 500: nothing is scored to choose by")
        return self
