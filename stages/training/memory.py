"""What to say where memory does not suffice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import TrainingError
from pipeline.stage import Context
from stages.nets.faults import is_out_of_memory
from stages.training.config import OptimiserConfig, TrainingConfig
from stages.training.device import resolve_precision
from stages.training.share import told_batch


@contextmanager
def memory_told(what: str) -> Iterator[None]:
    """TrainingError `what`, one line with what to lower, where memory does not suffice within the block."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(what) from error


def too_large(title: str, config: OptimiserConfig, ctx: Context) -> str:
    """What was asked for of a training, and what to lower, in the order in which it costs least."""
    own, precision = config.batch // ctx.group.world, resolve_precision(config.precision, ctx.device)
    asked = told_batch(config.batch, ctx.group) + (f" in {config.accumulate} parts" if config.accumulate > 1 else "")
    ways = []
    if precision == "fp32":
        ways.append("precision = 'bf16-mixed'")
    # Batch norms want two images a part.
    smaller = next((size for size in range(own // config.accumulate - 1, 1, -1) if own % size == 0), None)
    if smaller:
        ways.append(f"accumulate = {own // smaller} (the same batch in smaller parts)")
    if isinstance(config, TrainingConfig):
        asked += f", crop {config.crop_px[0]}x{config.crop_px[1]}"
        ways.append("a smaller crop_px")
    ways.append("a smaller batch")
    what = f"{title}: memory of the {ctx.device} does not suffice for {asked}, precision {precision}"
    return f"{what}: try {', '.join(ways)}"
