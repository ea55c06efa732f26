"""Whether a batch and a split can be shared by the processes that train together."""

from pipeline.errors import TrainingError
from pipeline.group.ranks import Group
from stages.training.config import OptimiserConfig


def check_batch(where: str, config: OptimiserConfig, group: Group) -> None:
    """TrainingError where a batch cannot be cut into equal shares, or these into the config's parts.

    `where` is the stage, as the recipe names it.
    """
    shares = group.world * config.accumulate
    if not config.iterations or config.batch % shares == 0:
        return
    parts = f", each in {config.accumulate} parts" if config.accumulate > 1 else ""
    below = config.batch - config.batch % shares
    fitting = " or ".join(str(size) for size in (below, below + shares) if size)
    whole = config.batch // config.accumulate
    fewer = max(size for size in range(1, min(whole, group.world) + 1) if whole % size == 0)
    raise TrainingError(
        f"{where}.batch = {config.batch} cannot be shared equally by {group.world} processes{parts}: "
        f"set it to {fitting}, or start {fewer} process{'es' if fewer > 1 else ''}"
    )


def check_images(images: int, group: Group) -> None:
    """TrainingError where there are more processes than training images."""
    if images < group.world:
        raise TrainingError(
            f"{group.world} processes and images to train on: {images}: start no more processes than that"
        )


def told_batch(batch: int, group: Group) -> str:
    """`batch 8`, or `batch 8 (4 in each of 2 processes)`."""
    if group.world == 1:
        return f"batch {batch}"
    return f"batch {batch} ({batch // group.world} in each of {group.world} processes)"
