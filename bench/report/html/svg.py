"""What every chart is made of: escaped elements, scales and ticks. Pure functions to strings; no chart is here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

LOG_FROM = 8.0
"""An axis that spans more than this factor is logarithmic."""
TICKS = 5
CHAR_EM = 0.56
"""Mean width of a character of the sans-serif fonts in use, in font sizes."""


def element(name: str, content: str = "", **attributes: object) -> str:
    """`<name a-b="v">content</name>` for `element("name", content, a_b="v")`; values escaped, `content` is markup."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{attribute(value)}"' for key, value in attributes.items())
    return f"<{name}{written}>{content}</{name}>"


def attribute(value: object) -> str:
    """A value of an attribute: coordinates with a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else escape(str(value), quote=True)


def text(x: float, y: float, words: str, css: str = "", anchor: str = "start") -> str:
    """A line of text, escaped; `anchor` is start, middle or end."""
    return element("text", escape(words), x=float(x), y=float(y), class_=css, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """A straight line."""
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=css)


def tip(words: str) -> str:
    """What a pointer that rests on the enclosing element reads."""
    return element("title", escape(words))


def path(points: Sequence[tuple[float, float]], css: str, close: bool = False) -> str:
    """A line through points."""
    steps = " ".join(f"{'L' if index else 'M'}{x:.1f} {y:.1f}" for index, (x, y) in enumerate(points))
    return element("path", d=steps + ("Z" if close else ""), class_=css)


def document(width: float, height: float, content: str, title: str, description: str) -> str:
    """A whole chart: `title` and `description` are what a screen reader says of it."""
    head = element("title", escape(title)) + element("desc", escape(description))
    box = f"0 0 {width:.0f} {height:.0f}"
    return element("svg", head + content, viewBox=box, role="img", aria_label=f"{title}. {description}")


def fit_text(words: str, width_px: float, font_px: float = 12) -> str:
    """The words, cut in the middle where they are longer than `width_px`."""
    most = max(4, int(width_px / (CHAR_EM * font_px)))
    if len(words) <= most:
        return words
    head = (most - 1) // 2
    return f"{words[:head]}…{words[-(most - 1 - head) :]}"


@dataclass(frozen=True)
class Scale:
    """Values `low`..`high` on pixels `start`..`end`, evenly or by logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (at - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round values on the axis."""
        return log_ticks(self.low, self.high) if self.log else even_ticks(self.low, self.high)


def scale(
    values: Sequence[float], start: float, end: float, log: bool = False, margin: float = 0.08, least: float = 0.0
) -> Scale:
    """A scale that holds the values with a margin on either side; logarithmic, where allowed and they span far.

    An even one spans `least` at least, so that a trifle does not fill the picture.
    """
    low, high = min(values), max(values)
    if log and low > 0 and high / low > LOG_FROM:
        factor = (high / low) ** margin
        return Scale(low / factor, high * factor, start, end, log=True)
    room = max((high - low) * margin, (least - (high - low)) / 2) or abs(high) * margin or 1.0
    return Scale(low - room, high + room, start, end)


def even_ticks(low: float, high: float, wanted: int = TICKS) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, about `wanted` of them."""
    raw = (high - low) / wanted
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 times the powers of ten; the powers alone where the axis spans more than three."""
    factors = (1,) if high / low > 1000 else (1, 2, 5)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [factor * 10.0**power for power in powers for factor in factors if low <= factor * 10.0**power <= high]


def tick_text(value: float) -> str:
    """A tick's number without needless digits."""
    return f"{value:,.10g}" if abs(value) >= 1 else f"{value:.3g}"


def placed(
    wanted: Sequence[tuple[float, float, str]],
    bounds: tuple[float, float],
    taken: Sequence[tuple[float, float]] = (),
    font_px: float = 11,
) -> list[tuple[float, float, str]]:
    """Where the label of each point (x, y, words) may stand: (x, y, anchor), clear of the points and of each other.

    Tried beside, above and below, ever farther; the place that overlaps least is taken. `bounds` are the left and
    right ends of the plot.
    """
    boxes = [(x - 5, y - 5, x + 5, y + 5) for x, y in taken]
    found = []
    for x, y, words in wanted:
        width = len(words) * font_px * CHAR_EM + 3
        options: list[tuple[float, int, tuple[float, float, str], Box]] = []
        for away in (0, 11, 22, 33, 46):
            for dx, dy, anchor in (
                (8, 4 - away, "start"),
                (-8, 4 - away, "end"),
                (8, 4 + away, "start"),
                (-8, 4 + away, "end"),
            ):
                left = x + dx if anchor == "start" else x + dx - width
                box = (left, y + dy - font_px, left + width, y + dy + 2)
                outside = max(0.0, bounds[0] - box[0]) + max(0.0, box[2] - bounds[1])
                clash = sum(overlap(box, other) for other in boxes)
                options.append((4 * clash + 50 * outside + away, len(options), (x + dx, y + dy, anchor), box))
        _, _, place, box = min(options)
        boxes.append(box)
        found.append(place)
    return found


Box = tuple[float, float, float, float]


def overlap(one: Box, other: Box) -> float:
    """Area that two boxes (left, top, right, bottom) share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)
