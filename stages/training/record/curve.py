"""A picture of a training: its terms, its learning rate and, where it was scored meanwhile, mIoU on val."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.training.keeper import VAL
from stages.training.learner import GRADIENT_NORM

CURVE = "training_curve.png"
NO_TERMS = {"iteration", "seconds", "lr", VAL, GRADIENT_NORM}
WIDTH_INCH = 9.0
HEIGHTS_INCH = {"terms": 3.6, "critics": 1.8, "val": 1.8, "lr": 1.3}
POINTS = 100
"""Percent in a share of 1."""
DECADES = 10.0
"""From this ratio of largest to smallest value on, an axis is logarithmic."""

Row = Mapping[str, Any]
Series = Mapping[str, tuple[list[int], list[float]]]
"""Iterations and values by name."""


def draw_curve(path: Path, history: Sequence[Row], title: str) -> None:
    """Write the history as PNG, panel below panel over one axis of iterations.

    Terms that are always above 0 share a panel, logarithmic where they span a decade; a critic's loss, which may be
    below 0, has one of its own.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = {name: series for name, series in panels_of(history).items() if series}
    heights = [HEIGHTS_INCH[name] for name in panels]
    figure = Figure(figsize=(WIDTH_INCH, sum(heights) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, series) in zip(grid, panels.items(), strict=True):
        draw_panel(axes, name, series)
    grid[0].set_title(title, loc="left", fontsize=11)
    grid[-1].set_xlabel("iteration")
    figure.savefig(path, dpi=110)


def panels_of(history: Sequence[Row]) -> dict[str, Series]:
    """What each panel shows; some are empty."""
    names = dict.fromkeys(n for row in history for n, v in row.items() if n not in NO_TERMS and is_number(v))
    terms = {name: series(history, name) for name in names}
    positive = {name: found for name, found in terms.items() if all(value > 0 for value in found[1])}
    return {
        "terms": positive,
        "critics": {name: found for name, found in terms.items() if name not in positive},
        "val": present("mIoU on val, %", series(history, VAL, POINTS)),
        "lr": present("learning rate", series(history, "lr")),
    }


def series(history: Sequence[Row], name: str, factor: float = 1) -> tuple[list[int], list[float]]:
    """Iterations at which the history has a number, and the numbers."""
    rows = [row for row in history if is_number(row.get(name))]
    return [row["iteration"] for row in rows], [factor * row[name] for row in rows]


def present(name: str, found: tuple[list[int], list[float]]) -> Series:
    """One series under its name; none where it has no value."""
    return {name: found} if found[0] else {}


def is_number(value: Any) -> bool:
    """Whether a value of a row can be drawn."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def draw_panel(axes: Any, panel: str, lines: Series) -> None:
    """The lines of a panel; the total, which the others add up to, is drawn in grey behind them."""
    few = max(len(x) for x, _ in lines.values()) < 40
    for name, (x, y) in lines.items():
        style = {"color": "0.6", "zorder": 1} if name == "total" else {}
        axes.plot(x, y, label=name, linewidth=1.4, marker="o" if few else None, markersize=3, **style)
    values = [value for _, y in lines.values() for value in y]
    if panel == "terms" and max(values) >= DECADES * min(values):
        axes.set_yscale("log")
    axes.grid(color="0.9", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if len(lines) == 1:
        axes.set_ylabel(next(iter(lines)))
    else:
        axes.set_ylabel({"terms": "unweighted terms", "critics": "terms of either sign"}[panel])
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
