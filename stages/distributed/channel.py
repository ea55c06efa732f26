"""How the processes of a torchrun reach each other: words through its store, tensors through a group of torch.

The engine finds this module by name and never imports torch itself.
"""

from __future__ import annotations

import os
from datetime import timedelta
from functools import lru_cache
from itertools import count

import torch
from torch import distributed
from torch.distributed import Store

from pipeline.group.ranks import Group

COLLECTIVE_TIMEOUT = timedelta(hours=2)
"""How long a process may be behind the others within a stage, e.g. while it decodes its images from a slow disk. A
process that ends is noticed at once."""
GROUPS = count()
"""Stages form their groups in one order everywhere, so that a number tells each from the one before."""


class Channel:
    """Short texts by name, seen by all processes; a name is written once."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def read(self, name: str) -> str | None:
        """The text, or None where it is not written yet; never waits for it."""
        return self.store.get(name).decode() if self.store.check([name]) else None

    def write(self, name: str, text: str) -> bool:
        """Write a text under a name; whether it was the first."""
        written: bytes = self.store.compare_set(name, "", text)
        return written.decode() == text


@lru_cache(maxsize=1)
def torchruns_store() -> Store:
    """The store that torchrun keeps for its processes; what stood in it before torchrun restarted them is not seen."""
    store: Store = next(distributed.rendezvous("env://", timeout=COLLECTIVE_TIMEOUT))[0]
    return distributed.PrefixStore(f"start {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)


def connect() -> Channel:
    """The channel of this torchrun."""
    return Channel(distributed.PrefixStore("pipeline", torchruns_store()))


def form_group(group: Group, device: str) -> None:
    """Make torch's default group of all processes, for one stage: nccl on GPUs, each process on its own; else gloo."""
    assert not distributed.is_initialized(), "the stage before left its group"
    own_gpu = torch.device("cuda", group.local_rank) if device == "cuda" else None
    distributed.init_process_group(
        # Tensors on the CPU go by gloo in either case: whether to stop, the states of generators.
        "cpu:gloo,cuda:nccl" if own_gpu else "gloo",
        store=distributed.PrefixStore(f"stage {next(GROUPS)}", torchruns_store()),
        rank=group.rank,
        world_size=group.world,
        timeout=COLLECTIVE_TIMEOUT,
        device_id=own_gpu,
    )


def leave_group() -> None:
    """End the stage's group, which frees what it holds on the GPU."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def tells_of_lost_peer(error: BaseException) -> bool:
    """Whether an error says that another process has gone."""
    gone = ("gloo/transport", "Connection reset by peer", "Connection closed by peer")
    return isinstance(error, distributed.DistError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in gone)
    )
