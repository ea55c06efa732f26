"""A plot of how much of each class there is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.datasets.index import Index

COLOURS = {"train": "#1f4e79", "val": "#e07b39", "test": "#5b9a68"}
MARKERS = {"train": "o", "val": "s", "test": "D"}
POINTS = 100
"""Percent in a share of 1."""


def draw_frequencies(path: Path, index: Index, frequencies: Mapping[str, Any]) -> None:
    """Write the plot as PNG: a row for each class, a mark for its share of pixels in each split, on a log scale."""
    from matplotlib.figure import Figure

    names = [c.name for c in index.classes]
    figure = Figure(figsize=(8.5, 1.6 + 0.27 * len(names)), layout="constrained")
    axes = figure.subplots()
    rows = range(len(names))
    for split, shares in frequencies.items():
        values = [POINTS * shares["classes"][name] for name in names]
        present_rows = [row for row in rows if values[row]]
        present = [values[row] for row in present_rows]
        if split == "train":
            axes.hlines(present_rows, 1e-4, present, color="#c9d3de", linewidth=5, zorder=1)
        look = {"marker": MARKERS.get(split, "o"), "color": COLOURS.get(split, "#444444"), "edgecolor": "white"}
        axes.scatter(present, present_rows, label=split, s=36, zorder=3, linewidth=0.8, **look)
    axes.set_yticks(rows, names)
    for row, each in zip(rows, index.classes, strict=True):
        axes.plot(
            -0.012,
            row,
            transform=axes.get_yaxis_transform(),
            marker="s",
            markersize=7,
            clip_on=False,
            color=tuple(value / 255 for value in each.rgb),
            markeredgecolor="#777777",
            markeredgewidth=0.5,
        )
    finish(axes, index.name)
    figure.savefig(path, dpi=130)


def finish(axes: Any, name: str) -> None:
    """Scale, grid, title and legend."""
    axes.invert_yaxis()
    axes.margins(y=0.6 / max(1, len(axes.get_yticks())))
    axes.set_xscale("log")
    axes.set_xlim(left=max(1e-3, axes.get_xlim()[0]), right=POINTS)
    axes.set_xticks((0.001, 0.01, 0.1, 1, 10, 100), ("0.001", "0.01", "0.1", "1", "10", "100"))
    axes.tick_params(axis="y", length=0, pad=12)
    axes.set_xlabel("share of all pixels, % (log scale); a class without a mark does not occur")
    axes.set_title(f"{name}: how much of each class there is", loc="left", fontsize=12)
    axes.grid(axis="x", color="#e6e9ee", zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.legend(loc="lower right", frameon=True, framealpha=0.95, edgecolor="#dddddd")
