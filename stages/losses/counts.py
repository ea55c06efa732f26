"""How a term becomes a mean over the whole batch, whatever the number of processes that share it.

Each process holds an equal number of the batch's images, and the gradients of all are averaged. So what a process
computes of a term must have the term as its mean over the processes: the gradient of that mean is the mean of the
gradients.
"""

from torch import Tensor

from stages.distributed.collectives import summed, world


def normalised(total: Tensor, count: Tensor | int) -> Tensor:
    """`total` over the number of things that it sums (pixels, images, cells of images) -> scalar.

    0 where nothing was counted, with the graph of `total` alive. Every mean of a term is taken here, with total and
    count of this process's part of the batch kept apart: a term of the whole batch is the sum of the totals over the
    sum of the counts, never a mean of means. A count that is an int follows from shapes, which all processes share; one
    that is a tensor was counted in this process's labels, and is summed over the processes.
    """
    if isinstance(count, int):
        return total / max(count, 1)
    return of_batch(total) / summed(count).clamp(min=1)


def of_batch(total: Tensor) -> Tensor:
    """What has the sum of all processes' totals as its mean over them; for one process, its total."""
    return total * world() if world() > 1 else total
