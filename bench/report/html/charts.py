"""The charts of a report as SVG: pure functions of plain data and a width in pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bench.report.html.svg import (
    Scale,
    document,
    element,
    fit_text,
    line,
    path,
    placed,
    scale,
    text,
    tick_text,
    tip,
)

LEFT, RIGHT, TOP, BOTTOM = 46, 14, 14, 44
"""Room around a plot for its axes, in pixels."""
NARROW_PX = 500
"""Below this width names stand above what they name."""
SHAPES = ("circle", "square", "triangle", "diamond")
LEAST_POINTS = 2.0
"""What a plot of accuracies spans at least, in points of mIoU: a tenth of one is no mountain."""
BAR, GAP = 9, 2
"""Height of a bar and what is between two bars of a group, in pixels."""


@dataclass(frozen=True)
class Mark:
    """A point of a scatter plot."""

    x: float
    y: float
    label: str
    """Stands beside the point; may be empty."""
    tip: str
    role: str
    """teacher, baseline or student: the colour."""
    shape: str = "circle"


def scatter(
    marks: Sequence[Mark],
    lines: Sequence[Sequence[tuple[float, float]]],
    axes: tuple[str, str],
    title: str,
    width: int,
    arrows: bool = False,
) -> str:
    """Marks over two named axes in mIoU points upwards, the other logarithmic where it spans far, with lines behind.

    `lines` go through (x, y) values: steps of a frontier, or arrows from the first point to the last.
    """
    height = round(min(width * 0.8, 400))
    across = scale([mark.x for mark in marks], LEFT, width - RIGHT, log=True)
    up = scale([mark.y for mark in marks], height - BOTTOM, TOP, least=LEAST_POINTS)
    spots = [(across(mark.x), up(mark.y)) for mark in marks]
    drawn = [axis_x(across, height, axes[0]), axis_y(up, width, axes[1])]
    for values in lines:
        pixels = [(across(x), up(y)) for x, y in values]
        drawn.append(arrow(pixels[0], pixels[-1]) if arrows else path(steps(pixels), "frontier"))
    drawn += [
        element("g", tip(mark.tip) + symbol(mark.shape, *spot), class_=f"mark {mark.role}")
        for mark, spot in zip(marks, spots, strict=True)
    ]
    named = [(x, y, mark.label) for mark, (x, y) in zip(marks, spots, strict=True) if mark.label]
    for (x, y, words), (at_x, at_y, anchor) in zip(named, placed(named, (LEFT, width), spots), strict=True):
        if abs(at_y - 4 - y) > 8:
            drawn.append(line(x, y, at_x, at_y - 4, "leader"))
        drawn.append(text(at_x, at_y, words, "label", anchor))
    return document(width, height, "".join(drawn), title, f"{axes[1]} against {axes[0]}, {len(marks)} points.")


def axis_x(across: Scale, height: int, name: str) -> str:
    """Ticks, grid and name of a horizontal axis at the bottom."""
    bottom = height - BOTTOM
    drawn = [line(across.start, bottom, across.end, bottom, "axis")]
    for value in across.ticks():
        x = across(value)
        drawn += [line(x, TOP, x, bottom, "grid"), text(x, bottom + 16, tick_text(value), "tick", "middle")]
    name += ", log scale" if across.log else ""
    return "".join([*drawn, text((across.start + across.end) / 2, height - 8, name, "axis-name", "middle")])


def axis_y(up: Scale, width: int, name: str) -> str:
    """Ticks, grid and name of a vertical axis at the left."""
    drawn = []
    for value in up.ticks():
        y = up(value)
        drawn += [line(LEFT, y, width - RIGHT, y, "grid"), text(LEFT - 6, y + 4, tick_text(value), "tick", "end")]
    middle = (up.start + up.end) / 2
    words = text(0, 0, name, "axis-name", "middle")
    return "".join([*drawn, element("g", words, transform=f"translate(12 {middle:.0f}) rotate(-90)")])


def steps(pixels: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A staircase through a frontier: what is reachable at each latency."""
    corners = [point for (x, y), (x2, _) in pairwise(pixels) for point in ((x, y), (x2, y))]
    return [*corners, pixels[-1]]


def arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    """A line that ends in a head short of the mark at its end."""
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    if length < 16:
        return ""
    ux, uy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    tip_x, tip_y = end[0] - 8 * ux, end[1] - 8 * uy
    head = [(tip_x, tip_y), (tip_x - 7 * ux - 4 * uy, tip_y - 7 * uy + 4 * ux)]
    head.append((tip_x - 7 * ux + 4 * uy, tip_y - 7 * uy - 4 * ux))
    return line(start[0] + 7 * ux, start[1] + 7 * uy, tip_x, tip_y, "arrow") + path(head, "arrow-head", close=True)


def symbol(shape: str, x: float, y: float) -> str:
    """A mark of about ten pixels."""
    if shape == "circle":
        return element("circle", cx=x, cy=y, r=5.0)
    corners = {
        "square": ((-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)),
        "triangle": ((0, -6), (5.5, 4.5), (-5.5, 4.5)),
        "diamond": ((0, -6.5), (6, 0), (0, 6.5), (-6, 0)),
    }[shape]
    return path([(x + dx, y + dy) for dx, dy in corners], "", close=True)


Group = tuple[str, Sequence[tuple[str, float | None]]]
"""A label, and (role, value) of each of its bars; None where there is no value."""


def bars(groups: Sequence[Group], unit: str, title: str, width: int, most: float | None = None) -> str:
    """Horizontal bars, a group for each label, from 0 to `most` (the largest value where left out)."""
    values = [value for _, found in groups for _, value in found if value is not None]
    narrow = width < NARROW_PX
    left = 8 if narrow else min(250.0, 16 + 6.8 * max(len(label) for label, _ in groups))
    across = Scale(0, most or max(values, default=0) or 1.0, left, width - 52)
    drawn, y = [], 4.0
    for label, found in groups:
        shown = fit_text(label, width - 16 if narrow else left - 12)
        if narrow:
            y += 12
            drawn.append(text(left, y, shown, "label"))
            y += 4
        else:
            middle = y + (len(found) * (BAR + GAP) - GAP) / 2 + 4
            drawn.append(element("g", tip(label) + text(left - 8, middle, shown, "label", "end")))
        for role, value in found:
            drawn.append(bar(across, y, role, value, f"{label}, {role}", unit))
            y += BAR + GAP
        y += 7
    height = y
    drawn.insert(0, line(left, 0, left, height, "axis"))
    return document(width, height, "".join(drawn), title, f"{len(groups)} groups of bars, in {unit}.")


def bar(across: Scale, y: float, role: str, value: float | None, what: str, unit: str) -> str:
    """One bar with its number."""
    if value is None:
        return text(across.start + 4, y + BAR, "-", "value")
    end = across(min(value, across.high))
    box = element("rect", x=across.start, y=y, width=max(0.5, end - across.start), height=float(BAR), class_=role)
    shown = f"{value:.1f}" if value < 100 else f"{value:,.0f}"
    return element("g", tip(f"{what}: {value:.4g} {unit}") + box + text(end + 4, y + BAR - 0.5, shown, "value"))


@dataclass(frozen=True)
class Samples:
    """A row's raw samples."""

    label: str
    role: str
    ms: Sequence[float]


def violins(rows: Sequence[Samples], title: str, width: int) -> str:
    """The density of each row's samples around its own median, in percent of it: how steady each measurement was.

    All rows share the axis; what lies beyond its end is counted there.
    """
    relative = [100 * (np.asarray(row.ms) / np.median(row.ms) - 1) for row in rows]
    low = max(-50.0, min(float(np.quantile(found, 0.01)) for found in relative) - 2)
    high = min(100.0, max(float(np.quantile(found, 0.98)) for found in relative) + 2)
    across = Scale(low, high, 8, width - 40)
    narrow = width < NARROW_PX
    row_height = 58 if narrow else 46
    height = len(rows) * row_height + TOP + BOTTOM
    drawn = [axis_x(across, height, "difference from the row's own median, %")]
    drawn.append(line(across(0), TOP, across(0), height - BOTTOM, "median"))
    for index, (row, found) in enumerate(zip(rows, relative, strict=True)):
        top = TOP + index * row_height
        figures = f"{float(np.median(row.ms)):.4g} ms · n = {len(row.ms)}"
        label = fit_text(row.label, width - 16 - (0 if narrow else 6.5 * len(figures)))
        words = [label, figures] if narrow else [f"{label} · {figures}"]
        drawn += [text(across.start, top + 10 + 12 * number, shown, "label") for number, shown in enumerate(words)]
        middle = top + row_height - 19
        shape = violin(found, across, middle)
        drawn.append(element("g", tip(f"{row.label} · {figures}") + shape, class_=f"violin {row.role}"))
        beyond = int((found > high).sum() + (found < low).sum())
        if beyond:
            drawn.append(text(width - 36, middle + 4, f"+{beyond}", "value"))
    return document(width, height, "".join(drawn), title, f"{len(rows)} rows; + counts samples beyond the axis.")


def violin(relative: np.ndarray, across: Scale, middle: float, half_px: float = 11) -> str:
    """Outline of a histogram, mirrored, and the 5th to 95th percentile as a line."""
    counts, edges = np.histogram(relative, bins=60, range=(across.low, across.high))
    smooth = np.convolve(counts, (0.25, 0.5, 0.25), mode="same")
    heights = half_px * smooth / max(float(smooth.max()), 1e-9)
    centres = (edges[:-1] + edges[1:]) / 2
    kept = np.flatnonzero(heights > 0.05)
    if not kept.size:
        return ""
    above = [(across(float(centres[i])), middle - float(heights[i])) for i in range(kept[0], kept[-1] + 1)]
    below = [(x, 2 * middle - y) for x, y in reversed(above)]
    p5, p95 = (float(np.clip(value, across.low, across.high)) for value in np.quantile(relative, (0.05, 0.95)))
    return path([*above, *below], "", close=True) + line(across(p5), middle, across(p95), middle, "spread")
