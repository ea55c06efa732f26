"""A sweep's picture: each row's mean with its spread, and every seed as a dot."""

from pathlib import Path
from typing import Any

from pipeline.sweep.results import Table

WIDTH_IN, ROW_IN, MARGIN_IN = 7.0, 0.42, 1.5
DPI = 150
COMPARED, BASE = "tab:blue", "black"
SEED_OFFSET = 0.22
"""How far below a row's mean its seeds stand, in rows."""


def draw(results: Table, path: Path, title: str) -> None:
    """Write a PNG; rows without a score stay empty."""
    from matplotlib.figure import Figure

    lines = results.lines
    figure = Figure(figsize=(WIDTH_IN, MARGIN_IN + ROW_IN * len(lines)), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    for place, line in enumerate(lines):
        values = [100 * value for value in line.values.values()]
        axes.plot(values, [place + SEED_OFFSET] * len(values), "o", color="tab:gray", markersize=4, alpha=0.8)
        if line.miou:
            spread = 100 * line.miou.sd if line.miou.sd is not None else None
            colour = COMPARED if line.compared_with else BASE
            axes.errorbar(100 * line.miou.mean, place, xerr=spread, fmt="D", color=colour, capsize=4, markersize=5)
    axes.set_yticks(range(len(lines)), [line.row for line in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlabel(f"{results.split or 'no'} mIoU, %")
    axes.set_title(title, fontsize="medium")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(handles=legend(), loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    figure.savefig(path)


def legend() -> list[Any]:
    """What the marks mean."""
    from matplotlib.lines import Line2D

    mean = Line2D([], [], marker="D", color=COMPARED, markersize=5, label="mean ± standard deviation")
    base = Line2D([], [], marker="D", color=BASE, markersize=5, label="what others are compared with")
    seed = Line2D([], [], marker="o", color="tab:gray", linestyle="", markersize=4, label="one seed")
    return [mean, base, seed]
