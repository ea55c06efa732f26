"""The networks of the catalogue beside the figures that papers print of them.

`published.toml` holds the printed figures; what is measured is counted anew each time. A difference above 1 %
needs a reason in the table.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import click

from bench.complexity.count import complexity
from bench.report.markdown import grid
from pipeline.errors import NetworkError

TABLE = Path(__file__).with_suffix(".toml")
BEGIN, END = "<!-- python -m bench.complexity --table -->", "<!-- end of table -->"
HEADER = (
    "network", "classes", "input", "params M: printed", "paper", "deployed", "difference %",
    "MACs G: printed", "paper", "deployed", "difference %", "compared", "printed in", "why more than 1 %",
)  # fmt: skip


@dataclass(frozen=True)
class Published:
    """One network at one size, and what was printed of it."""

    net: str
    classes: int
    size_px: tuple[int, int]
    """Height and width of the input."""
    source: str
    """Where the figures are printed."""
    convention: Literal["paper", "deployed"]
    """The measured figures that the printed ones are compared with: with or without the auxiliary head."""
    args: Mapping[str, Any] = field(default_factory=dict)
    params: float | None = None
    """Printed parameters; None where the source prints none."""
    macs: float | None = None
    """Printed multiply-accumulates for one image."""
    reason: str = ""
    """Why a figure differs by more than 1 %."""


def published(path: Path = TABLE) -> list[Published]:
    """The rows of published.toml, in its order."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["row"]
    return [Published(**{**row, "size_px": tuple(row["size_px"])}) for row in rows]


def compare(row: Published) -> dict[str, Any]:
    """The printed and the measured figures of one row, and their relative differences: measured / printed - 1."""
    cost = complexity(row.net, row.classes, row.size_px, row.args)
    measured = {
        "paper": {"params": cost["params_with_aux"], "macs": cost["macs_with_aux"]},
        "deployed": {"params": cost["params"], "macs": cost["macs"]},
    }
    printed = {"params": row.params, "macs": row.macs}
    ours = measured[row.convention]
    return {
        "net": row.net,
        "args": dict(row.args),
        "classes": row.classes,
        "size_px": list(row.size_px),
        "source": row.source,
        "convention": row.convention,
        "printed": printed,
        "measured": measured,
        "transposed_conv_macs": cost["transposed_conv_macs"],
        "matmul_macs": cost["matmul_macs"],
        "difference": {name: ours[name] / value - 1 if value else None for name, value in printed.items()},
        "reason": row.reason,
    }


def network(row: Mapping[str, Any]) -> str:
    """`pspnet_resnet18, width 0.5`."""
    return ", ".join([row["net"], *(f"{name} {value}" for name, value in row["args"].items())])


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table."""
    return "\n".join(grid(HEADER, [cells(row) for row in rows]))


def cells(row: Mapping[str, Any]) -> list[str]:
    """One row of the table."""
    figures = []
    for name, unit in (("params", 1e6), ("macs", 1e9)):
        counts = [row["printed"][name], *(row["measured"][convention][name] for convention in ("paper", "deployed"))]
        difference = row["difference"][name]
        figures += ["-" if count is None else f"{count / unit:.4g}" for count in counts]
        figures.append("-" if difference is None else f"{100 * difference:+z.2f}")
    size = "x".join(map(str, row["size_px"]))
    return [network(row), str(row["classes"]), size, *figures, row["convention"], row["source"], row["reason"]]


def updated(text: str, table: str) -> str:
    """A document with the table between its two marks; NetworkError where it lacks them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NetworkError(f"--update: the file has no lines {BEGIN!r} and {END!r} to put the table between")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def print_table(as_json: bool, update: Path | None) -> None:
    """Count all rows and print them; also put the table into the document `update`."""
    rows = [compare(row) for row in published()]
    if update:
        update.write_text(updated(update.read_text(encoding="utf-8"), markdown(rows)), encoding="utf-8")
    click.echo(json.dumps(rows) if as_json else markdown(rows))
