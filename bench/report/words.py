"""The words and figures that every text of a report shares: names of roles, numbers for people, Markdown tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Report = Mapping[str, Any]

ROLES = {
    "teacher": "teacher",
    "baseline": "student without distillation",
    "student": "student with distillation",
}

PAIRED = (
    "How much faster one is than another is taken within each round, where both ran in turn, and is the median over "
    "the rounds: it may differ a little from the quotient of the two p50."
)


def times(ratio: float, less: str, more: str) -> str:
    """`4.4x faster` for a ratio of 4.4, `2.0x slower` for one of 0.5."""
    return f"{ratio:.1f}x {less}" if ratio >= 1 else f"{1 / ratio:.1f}x {more}"


def size(report: Report) -> str:
    """`512x1024`: height and width of the measured input."""
    return "x".join(str(length) for length in report["data"]["size_px"])


def more_title(table: Mapping[str, Any]) -> str:
    """`Batch 4 at 32x64`."""
    return f"Batch {table['batch']} at {'x'.join(map(str, table['size_px']))}"


def network(model: Mapping[str, Any]) -> str:
    """`pspnet_resnet18 (width=0.5)`."""
    args = ", ".join(f"{name}={value}" for name, value in model["args"].items())
    return f"{model['net']} ({args})" if args else model["net"]


def of(values: Any, *keys: str) -> Any:
    """`values[k0][k1]...`, or None where a part is missing."""
    for key in keys:
        values = values.get(key) if values else None
    return values


def out_of_place(row: Mapping[str, Any]) -> bool:
    """Whether a row measured a file of TensorRT's form in another runtime."""
    return row["runtime"] != "tensorrt" and ".int8-tensorrt." in (row["file"] or "")


def percent(share: float | None, decimals: int = 2) -> str:
    """A share 0..1 in percent; a dash for None."""
    return "-" if share is None else f"{100 * share:.{decimals}f}"


def mega(count: int) -> str:
    """A count in millions with three decimals."""
    return f"{count / 1e6:.3f}"


def giga(count: int) -> str:
    """A count in thousands of millions with three decimals."""
    return f"{count / 1e9:.3f}"


def number(value: float | None) -> str:
    """Three significant digits or more, never an exponent; a dash for None."""
    if value is None:
        return "-"
    decimals = next((digits for limit, digits in ((100, 0), (10, 1), (1, 2)) if abs(value) >= limit), 3)
    return f"{value:.{decimals}f}"


def cell(value: Any) -> str:
    """Any value as the text of a table cell."""
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; numbers are not aligned, so that the text stays diffable."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in cells) + " |"

    return [line(header), "|" + "---|" * len(header), *(line(row) for row in rows)]
