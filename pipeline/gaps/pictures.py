"""Pictures of the two gaps between student and teacher: distance graphs as heat maps, position masks side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from pipeline.gaps.report import AXES

if TYPE_CHECKING:
    import numpy as np

Panels = Sequence[tuple[str, Sequence[Sequence[float | None]]]]
PANEL_IN, LABEL_IN, BAR_IN = 2.9, 1.1, 0.9
MASK_IN = 1.9
NAME_COLUMNS = 16
DPI = 130
NAMED_CLASSES = 40
"""With more of them, names would overlap: the axes count them instead."""


def draw_distances(path: Path, classes: Sequence[str], panels: Panels) -> None:
    """Write a PNG with one K x K heat map for each titled graph, on one scale; pairs without a value stay grey."""
    import numpy as np
    from matplotlib.figure import Figure

    graphs = [np.array(graph, dtype=float) for _, graph in panels]
    size = (PANEL_IN * len(panels) + LABEL_IN + BAR_IN, PANEL_IN + LABEL_IN)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    top = max((float(np.nanmax(g)) for g in graphs if not np.isnan(g).all()), default=1.0)
    for place, (axes, graph, (title, _)) in enumerate(zip(row, graphs, panels, strict=True)):
        axes.set_facecolor("0.85")
        image = axes.imshow(graph, vmin=0, vmax=top, cmap="viridis")
        axes.set_title(title, fontsize=9)
        name_classes(axes, classes, rows=place == 0)
    figure.colorbar(image, ax=row, shrink=0.8, label="distance / mean distance")
    figure.savefig(path)


def name_classes(axes: Any, classes: Sequence[str], rows: bool) -> None:
    """Class names along the columns, and along the rows where asked for."""
    if len(classes) > NAMED_CLASSES:
        axes.set_xlabel("class id")
        axes.set_ylabel("class id" if rows else "")
        return
    size = 7 if len(classes) <= 20 else 5
    axes.set_xticks(range(len(classes)), classes, rotation=90, fontsize=size)
    axes.set_yticks(range(len(classes)), classes if rows else [""] * len(classes), fontsize=size)


def draw_positions(path: Path, images: Sequence[str], masks: Mapping[str, Sequence["np.ndarray"]]) -> None:
    """Write a PNG with a row an image: HOR, then VER, of everyone in `masks` (each 2 x h x w in 0 to 1)."""
    from matplotlib.figure import Figure

    count = len(next(iter(masks.values())))
    columns = [(axis, who) for axis in (0, 1) for who in masks]
    h, w = next(iter(masks.values()))[0].shape[1:]
    size = (MASK_IN * len(columns) + 1.2, MASK_IN * h / w * count + 0.15 * count + 0.5)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    grid = figure.subplots(count, len(columns), squeeze=False)
    for row, name in zip(range(count), images, strict=False):
        for axes, (axis, who) in zip(grid[row], columns, strict=True):
            drawn = axes.imshow(masks[who][row][axis], vmin=0, vmax=1, cmap="viridis")
            axes.set_xticks([])
            axes.set_yticks([])
            if row == 0:
                axes.set_title(f"{AXES[axis]}\n{who}", fontsize=8)
        grid[row][0].set_ylabel("\n".join(wrap(Path(name).stem, NAME_COLUMNS)), fontsize=6)
    figure.colorbar(drawn, ax=grid, shrink=0.8, label="position, 0 left or top, 1 right or bottom")
    figure.savefig(path)
