"""How a term becomes a mean."""

from torch import Tensor


def normalised(total: Tensor, count: Tensor | int) -> Tensor:
    """`total` over the number of things that it sums (pixels, images, cells of images) -> scalar.

    0 where nothing was counted, with the graph of `total` alive. Every mean of a term is taken here, with total and
    count of this process's part of the batch kept apart: a term of the whole batch is the sum of the totals over the
    sum of the counts, never a mean of means.
    """
    return total / (max(count, 1) if isinstance(count, int) else count.clamp(min=1))
