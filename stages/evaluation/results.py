"""Scores for people: a table in Markdown, and the confusion matrix as a table of counts and as a picture."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

POINTS = 100
"""Percent in a share of 1."""
MOST_NUMBERED = 24
"""With more classes, the cells of the picture are too small for numbers."""
LOW, HIGH = 0.005, 0.4
"""Shares from which a cell has a number, and from which that is white."""


def results_table(split: str, scores: Mapping[str, Any]) -> str:
    """The scores of a split in percent as Markdown: a row for each class, a column more for each subset."""
    columns = {f"{split}, {scores['images']} images": scores}
    columns |= {f"{prefix}*, {part['images']}": part for prefix, part in scores.get("subsets", {}).items()}
    width = f"{POINTS * scores['boundary_ratio']:.2g} % of the diagonal"
    head = [cell for name in columns for cell in (f"{name}: IoU", "boundary IoU")]
    lines = [f"| % (boundary: {width}) | {' | '.join(head)} |", "|---|" + "---|" * len(head)]
    lines += [row(name, columns.values(), name) for name in scores["per_class_iou"]]
    lines.append(f"| **mean** | {' | '.join(f'**{cell}**' for part in columns.values() for cell in means(part))} |")
    for name in ("pixel_accuracy", "frequency_weighted_iou"):
        cells = " | ".join(f"{percent(part[name])} | " for part in columns.values())
        lines.append(f"| {name.replace('_', ' ')} | {cells}|")
    return "\n".join(lines)


def row(title: str, parts: Any, name: str) -> str:
    """One class: IoU and boundary IoU of each column."""
    cells = [percent(part[key][name]) for part in parts for key in ("per_class_iou", "per_class_boundary_iou")]
    return f"| {title} | {' | '.join(cells)} |"


def means(part: Mapping[str, Any]) -> Iterator[str]:
    """mIoU and its boundary counterpart."""
    yield percent(part["miou"])
    yield percent(part["boundary_miou"])


def percent(share: float | None) -> str:
    """Two digits; a dash for what does not occur."""
    return "-" if share is None else f"{POINTS * share:.2f}"


def confusion_csv(counts: np.ndarray, names: Sequence[str]) -> str:
    """Pixels as CSV: a row for each class of the label, a column for each of the prediction."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label \\ prediction", *names])
    writer.writerows([name, *counted] for name, counted in zip(names, counts.tolist(), strict=True))
    return text.getvalue()


def draw_confusion(path: Path, counts: np.ndarray, names: Sequence[str], title: str) -> None:
    """Write the matrix (row = label, int64 C x C) as PNG: what share of each class's pixels went where."""
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(4.5, 1.6 + (0.52 if len(names) <= MOST_NUMBERED else 0.16) * len(names))
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(POINTS * shares, cmap="Blues", norm=PowerNorm(0.5, 0, POINTS))
    size = 9 if len(names) <= MOST_NUMBERED else 5
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set(xlabel="prediction", ylabel="label")
    axes.set_title(title, loc="left", fontsize=11)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2 if len(names) <= MOST_NUMBERED else 0.3)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    if len(names) <= MOST_NUMBERED:
        number_cells(axes, shares)
    bar = figure.colorbar(picture, ax=axes, shrink=0.7, ticks=(0, 1, 5, 10, 25, 50, 75, 100))
    bar.set_label("% of the label's pixels")
    bar.outline.set_visible(False)
    figure.savefig(path, dpi=130)


def number_cells(axes: Any, shares: np.ndarray) -> None:
    """Percent in each cell that has any to speak of."""
    for i, j in zip(*np.nonzero(shares >= LOW), strict=True):
        colour = "white" if shares[i, j] >= HIGH else "#1a2733"
        axes.text(j, i, f"{POINTS * shares[i, j]:.0f}", ha="center", va="center", fontsize=8, color=colour)
