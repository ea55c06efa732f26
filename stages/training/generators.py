"""Random state of the processes that train together: each draws its own dropout, and a resumed one goes on drawing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from stages.distributed.collectives import gathered, rank, world


def part_ways(seed: int, iteration: int = 0) -> None:
    """Seed torch's generators by (seed, rank, iteration); at the start, rank 0 keeps those that one process has."""
    if rank() or iteration:
        (own,) = np.random.SeedSequence((seed, rank(), iteration)).generate_state(1, np.uint64)
        torch.manual_seed(int(own))


def states_of_all() -> dict[str, Tensor]:
    """State of every process's generators, uint8 world x bytes: of the CPU, and of the GPU where it is used.

    A training on the CPU opens no GPU that the machine has as well: it may be another user's.
    """
    return {"cpu": gathered(torch.get_rng_state())} | (
        {"cuda": gathered(torch.cuda.get_rng_state())} if torch.cuda.is_initialized() else {}
    )


def go_on(states: dict[str, Tensor], seed: int, iteration: int, log: Callable[[str], None]) -> None:
    """Take up this process's part of `states`; where another number of processes wrote them, seed anew and say so."""
    before = len(states["cpu"])
    if before != world():
        log(
            f"the checkpoint is of {before} processes and these are {world()}: weights and images go on as they were, "
            "dropout is drawn anew"
        )
        part_ways(seed, iteration)
        return
    # torch reads a state from where its storage begins, so that a row of several must be a copy.
    torch.set_rng_state(states["cpu"][rank()].clone())
    if torch.cuda.is_initialized() and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"][rank()].clone())
