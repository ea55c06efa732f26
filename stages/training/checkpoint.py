"""Resume checkpoints in a stage's scratch folder: an interrupted run goes on where it stopped."""

import os
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from pipeline.errors import TrainingError
from stages.training.learner import Learner

Row = dict[str, Any]


def checkpoint_path(scratch: Path, title: str) -> Path:
    """Where the loop named `title` keeps its state; a stage may run several loops one after the other."""
    return scratch / f"{title.replace(' ', '_').replace(',', '')}.pt"


def save_checkpoint(path: Path, iteration: int, learners: Mapping[str, Learner], history: list[Row]) -> None:
    """Write the whole training state; the rename makes it the old state or the new one, never half."""
    state = {
        "iteration": iteration,
        "learners": {name: learner.state_dict() for name, learner in learners.items()},
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all(),
        "history": history,
    }
    part = path.with_suffix(".part")
    try:
        # Through a file of Python's, so that a full disk is told as such.
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def restore_checkpoint(path: Path, learners: Mapping[str, Learner]) -> tuple[int, list[Row]]:
    """The iteration to go on from and the history so far; (0, []) where there is no checkpoint."""
    if not path.exists():
        return 0, []
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name, learner in learners.items():
            learner.load_state_dict(state["learners"][name])
    except (RuntimeError, ValueError, KeyError, EOFError, UnpicklingError) as error:
        raise TrainingError(
            f"cannot resume from {path}: {str(error).splitlines()[0]}; delete that file to start again"
        ) from error
    torch.set_rng_state(state["rng"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda_rng"])
    return state["iteration"], state["history"]
