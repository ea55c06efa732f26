"""The history for TensorBoard, beside the one in the artifact: to be watched while a network trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.errors import TrainingError
from pipeline.stage import Context

Write = Callable[[Mapping[str, Any]], None]
"""Takes a row of the history."""


def require_tensorboard(wanted: bool) -> None:
    """TrainingError where scalars are wanted and the package that writes them is not there."""
    if wanted and find_spec("tensorboard") is None:
        raise TrainingError(
            "tensorboard = true needs the package tensorboard: pip install -e '.[tensorboard]' in the clone, or leave "
            "it out"
        )


def scalars_folder(ctx: Context, title: str) -> Path:
    """One folder a training: `tensorboard --logdir .pipeline/cache/tensorboard` shows them together."""
    training = f"{ctx.scratch.parent.name}-{ctx.scratch.name[:12]}"
    return (ctx.cache or ctx.scratch) / "tensorboard" / training / title.replace(" ", "_").replace(",", "")


@contextmanager
def scalars(ctx: Context, title: str, wanted: bool, start: int) -> Iterator[Write]:
    """What writes the numbers of a history's row; nothing where they are not wanted.

    What an earlier process wrote from iteration `start` on is taken back. TrainingError without the package.
    """
    require_tensorboard(wanted)
    if not wanted:
        yield lambda row: None
        return
    from torch.utils.tensorboard import SummaryWriter

    folder = scalars_folder(ctx, title)
    ctx.log(f"{title}: scalars for TensorBoard in {folder}")
    with SummaryWriter(str(folder), purge_step=start or None) as writer:

        def write(row: Mapping[str, Any]) -> None:
            for name, value in numbers(row):
                writer.add_scalar(name, value, row["iteration"])
            writer.flush()

        yield write


def numbers(row: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a row by name, those of a table within it as `table/name`."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from numbers(value, f"{under}{name}/")
        elif isinstance(value, int | float) and name != "iteration":
            yield f"{under}{name}", value
