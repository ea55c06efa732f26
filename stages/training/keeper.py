"""Which weights of a training are scored and published: the last or the best on val, averaged or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from stages.distributed.collectives import take_from_rank_0
from stages.training.average import Average, copied
from stages.training.config import TrainingConfig

VAL = "val_miou"
"""Key of the mIoU on val in a row of the history."""
Score = Callable[[], float]
"""mIoU on val of the network as it is."""


class Keeper:
    """Follows a module's weights; in the end it puts those into it that are published.

    `score` is called every `every` steps and at the end; None scores nothing. Where `best`, the weights of the highest
    score are kept, the earliest of equals.
    """

    def __init__(
        self, module: nn.Module, ema: float, score: Score | None = None, every: int = 0, best: bool = False
    ) -> None:
        self.module = module
        self.average = Average(module, ema) if ema else None
        self.score = score
        self.every = every
        self.keeps_best = best
        self.best: dict[str, Tensor] = {}
        self.best_score = -1.0

    def due(self, done: int, iterations: int) -> bool:
        """Whether the weights are scored after `done` steps."""
        return self.score is not None and done > 0 and (done % self.every == 0 or done == iterations)

    def follow(self, done: int) -> None:
        """A step was taken; `done` counts them."""
        if self.average:
            self.average.follow(done)

    def rate(self) -> float:
        """Score what would be published now, and remember it where it is the best so far."""
        assert self.score is not None
        with self.averaged():
            take_from_rank_0(self.module)
            score = self.score()
            if self.keeps_best and score > self.best_score:
                self.best_score = score
                self.best = {name: value.cpu() for name, value in copied(self.module).items()}
        return score

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The averaged weights in the module, where there is an average."""
        if self.average:
            self.average.swap()
        try:
            yield
        finally:
            if self.average:
                self.average.swap()

    def publish(self) -> None:
        """Put the weights that are published into the module, of all processes the same."""
        if self.best:
            self.module.load_state_dict(self.best)
        elif self.average:
            self.average.swap()
        # Each process counts running statistics of its own; those of rank 0 are kept.
        take_from_rank_0(self.module)

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed training needs of it."""
        average = self.average.state_dict() if self.average else {}
        return {"average": average, "best": self.best, "best_score": self.best_score}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of `state_dict`; KeyError or RuntimeError where it does not fit."""
        if self.average:
            self.average.load_state_dict(state["average"])
        self.best, self.best_score = state["best"], state["best_score"]


def kept(history: Sequence[Mapping[str, Any]], config: TrainingConfig) -> dict[str, Any]:
    """What is published of a training, for its description: `kept` last or best, after how many `steps`, and, where
    there are such, `val_miou` and the `ema` decay. {} where nothing was trained.
    """
    if not history:
        return {}
    rated = [row for row in history if VAL in row]
    row = max(rated, key=lambda row: row[VAL]) if config.keep == "best" else history[-1]
    score = {VAL: row[VAL]} if VAL in row else {}
    return {"kept": config.keep, "steps": row["iteration"] + 1, **score, **({"ema": config.ema} if config.ema else {})}


def sentence(weights: Mapping[str, Any]) -> str:
    """`kept` as one sentence for people."""
    which = "best on val" if weights["kept"] == "best" else "last"
    line = f"Weights: the {which}, after {weights['steps']} steps"
    line += f", moving average with decay {weights['ema']:g}" if "ema" in weights else ""
    return line + (f", mIoU {100 * weights[VAL]:.2f} % on val" if VAL in weights else "") + "."
