"""Resume checkpoints in a stage's scratch folder: an interrupted run goes on where it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import torch

from pipeline.errors import TrainingError
from pipeline.stage import Mark
from stages.distributed.collectives import rank
from stages.training.config import OptimiserConfig
from stages.training.generators import go_on, part_ways, states_of_all

Row = dict[str, Any]


class Stateful(Protocol):
    """What has a state to be resumed: a learner, the precision's scaler, the keeper of weights."""

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed training needs of it."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of `state_dict`; RuntimeError, ValueError or KeyError where it does not fit."""


def checkpoint_path(scratch: Path, title: str) -> Path:
    """Where the loop named `title` keeps its state; a stage may run several loops one after the other."""
    return scratch / f"{title.replace(' ', '_').replace(',', '')}.pt"


class Checkpoint:
    """The whole state of a training in one file: that of its parts by name, of the generators, and the history."""

    def __init__(
        self, path: Path, parts: Mapping[str, Stateful], config: OptimiserConfig, log: Callable[[str], None]
    ) -> None:
        self.path = path
        self.parts = parts
        self.made_with = settings(config)
        self.seed = config.seed
        self.log = log

    def save(self, iteration: int, history: list[Row]) -> None:
        """Write the state; the rename makes it the old one or the new one, never half.

        All processes call it: rank 0 writes, and the generators of all are in it.
        """
        state = {
            "iteration": iteration,
            "made_with": self.made_with,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "generators": states_of_all(),
            "history": history,
        }
        if rank():
            return
        part = self.path.with_suffix(".part")
        try:
            # Through a file of Python's, so that a full disk is told as such.
            with part.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def restore(self) -> tuple[int, list[Row]]:
        """The iteration to go on from and the history so far; (0, []) where there is no checkpoint.

        The generators of the processes go on too; where there is no checkpoint, they part ways.
        """
        if not self.path.exists():
            part_ways(self.seed)
            return 0, []
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            self.refuse_another(state["made_with"])
            for name, part in self.parts.items():
                part.load_state_dict(state["parts"][name])
            generators, iteration, history = state["generators"], state["iteration"], state["history"]
        except (RuntimeError, ValueError, KeyError, TypeError, EOFError, UnpicklingError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
            raise TrainingError(f"cannot resume from {self.path}: {reason}; delete that file to start again") from error
        go_on(generators, self.seed, iteration, self.log)
        return iteration, history

    def refuse_another(self, made_with: Mapping[str, Any]) -> None:
        """ValueError where the settings under which the file was made are not those of this training."""
        for name in sorted(self.made_with.keys() | made_with.keys()):
            old, new = made_with.get(name), self.made_with.get(name)
            if old != new:
                raise ValueError(f"it was made with {name} = {old!r}, and the recipe has {new!r}")


def settings(config: OptimiserConfig) -> dict[str, Any]:
    """The fields of a config that count, as plain values."""
    neutral = {name for name, field in type(config).model_fields.items() if Mark.NEUTRAL in field.metadata}
    return config.model_dump(mode="json", exclude=neutral)
