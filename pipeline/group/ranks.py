"""The processes that torchrun started, as its environment tells each of them."""

import os
from dataclasses import dataclass

STARTED = "TORCHELASTIC_RUN_ID"
"""Set by torchrun in every process that it starts."""


@dataclass(frozen=True)
class Group:
    """Processes that do one thing together, and which of them this is; rank 0 leads."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    """Rank among the processes of this machine: its GPU."""
    local_world: int = 1
    nodes: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process plans, prints and publishes."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """Which images of a batch are this process's; the world divides the batch."""
        assert batch % self.world == 0, (batch, self.world)
        own = batch // self.world
        return slice(self.rank * own, (self.rank + 1) * own)


ALONE = Group()


def started() -> Group:
    """The group of this process: `ALONE` where torchrun did not start it."""
    if STARTED not in os.environ:
        return ALONE
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE")
    return Group(*(int(os.environ[name]) for name in names))
