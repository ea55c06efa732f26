"""A picture of the gradient shares over a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SIZE_INCH = (8.0, 4.5)


def draw_gradient_share(history: Sequence[Mapping[str, Any]], title: str, path: Path) -> bool:
    """Write the shares of all terms, stacked, over the iterations as a PNG; False where fewer than two were taken."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in history if "gradient_share" in row]
    if len(rows) < 2:
        return False
    figure = Figure(figsize=SIZE_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    names = list(rows[0]["gradient_share"])
    shares = [[row["gradient_share"][name] for row in rows] for name in names]
    axes.stackplot([row["iteration"] for row in rows], shares, labels=names)
    axes.set(xlim=(rows[0]["iteration"], rows[-1]["iteration"]), ylim=(0, 1), xlabel="iteration", title=title)
    axes.set_ylabel(f"share of the gradient's L2 norm\nat {rows[0]['gradient_at']}")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.savefig(path, dpi=100)
    return True
