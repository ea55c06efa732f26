"""What the processes that share a batch tell each other: sums, means and draws of torch's default group.

Where there is no group, every function gives back what it was given, so that one process computes as if they were not
there. In a group each is a collective: all processes call it, in one order.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn


def world() -> int:
    """How many processes share the batch."""
    return distributed.get_world_size() if grouped() else 1


def rank() -> int:
    """Which of them this is."""
    return distributed.get_rank() if grouped() else 0


def grouped() -> bool:
    """Whether there is a group at all."""
    return distributed.is_available() and distributed.is_initialized()


def summed(values: Tensor) -> Tensor:
    """Sum over the processes, without graph; the shape and dtype of `values`."""
    if not grouped():
        return values
    total = values.detach().clone()
    distributed.all_reduce(total)
    return total


def averaged(values: Tensor) -> Tensor:
    """Mean over the processes, without graph."""
    return summed(values) / world() if grouped() else values


def any_of(here: bool) -> bool:
    """Whether something holds in any process; it waits for no GPU."""
    return bool(summed(torch.tensor(int(here))).item()) if grouped() else here


def gathered(values: Tensor) -> Tensor:
    """The values of all processes, equal in shape: world x ..., on the device of `values`."""
    if not grouped():
        return values[None]
    parts = [torch.empty_like(values) for _ in range(world())]
    distributed.all_gather(parts, values)
    return torch.stack(parts)


def drawn(count: int, device: torch.device) -> Tensor:
    """`count` numbers uniform in [0, 1), this process's part of what rank 0 drew for the whole batch."""
    if not grouped():
        return torch.rand(count, device=device)
    whole = torch.rand(count * world(), device=device)
    distributed.broadcast(whole, 0)
    return whole[rank() * count : (rank() + 1) * count]


def take_from_rank_0(module: nn.Module) -> None:
    """Give every process the weights and buffers of rank 0."""
    if grouped():
        for tensor in module.state_dict().values():
            distributed.broadcast(tensor, 0)
