"""What tests of the training loop share: a small module, batches that a seed fixes, and a bar that can break off."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.stage import Context
from stages.training.config import OptimiserConfig
from stages.training.device import start_fabric
from stages.training.loop import train

ITERATIONS = 12
OnStep = Callable[[int], None]


class Interrupted(Exception):
    """Stands for a kill in the middle of training."""


class Bar:
    """Calls `on_step` with the number of iterations done."""

    def __init__(self, on_step: OnStep, done: int) -> None:
        self.on_step, self.done = on_step, done

    def step(self, images: int, terms: Mapping[str, float]) -> None:
        self.done += 1
        self.on_step(self.done)


def interrupted_at(step: int | None) -> OnStep:
    """Breaks a training off in the middle of a step."""

    def on_step(done: int) -> None:
        if done == step:
            raise Interrupted

    return on_step


def context(scratch: Path, on_step: OnStep = lambda done: None, lines: list[str] | None = None) -> Context:
    """A stage's context whose work folder is its scratch."""

    @contextmanager
    def progress(title: str, total: int, done: int) -> Iterator[Bar]:
        yield Bar(on_step, done)

    scratch.mkdir(exist_ok=True)
    log = lines.append if lines is not None else lambda line: None
    return Context(scratch, scratch, "cpu", {}, log, progress)


class Fit(nn.Module):
    """A small network with batch norm and dropout, so that buffers and random state matter."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Conv2d(4, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        error = (self.net(x) - 3).square().mean()
        return error, {"error": error}


def batches(start: int) -> Generator[Tensor]:
    for iteration in range(start, ITERATIONS):
        yield torch.randn(4, 1, 6, 6, generator=torch.Generator().manual_seed(iteration))


def fitted(
    scratch: Path, on_step: OnStep = lambda done: None, make: Callable[[], nn.Module] = Fit, **changes: Any
) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """State of the module after training under a config with changes, and the history."""
    values = {"iterations": ITERATIONS, "batch": 4, "lr": 0.05, "checkpoint_iterations": 3, "precision": "fp32"}
    config = OptimiserConfig(**(values | changes))
    fabric = start_fabric("fp32", "cpu", seed=0)
    module = make()

    def parts(iteration: int, x: Tensor) -> Iterator[tuple[Tensor]]:
        return ((part,) for part in x.chunk(config.accumulate))

    history = train(fabric, module, batches, parts, config, context(scratch, on_step), "fit")
    return module.state_dict(), history


def timeless(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if "seconds" not in key} for row in history]
