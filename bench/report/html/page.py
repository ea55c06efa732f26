"""report.json -> report.html: one file that asks nothing of any network and runs no script."""

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

from bench.report.html import evidence, figures
from bench.report.html.markup import details, items, section
from bench.report.html.svg import element
from bench.report.machine_words import heat_warnings
from bench.report.points import Report, score_of, with_added
from bench.report.reading import machine
from bench.report.summary import summary
from bench.report.words import more_title, network, size

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What the page may load: its own style and its own pictures."""
STYLE = "style.css"
SHOWN = 8
"""Caveats in sight; the others are folded."""


def page(report: Report) -> str:
    """The whole document; every word of the data is escaped."""
    title = f"{network(report['models']['student'])} distilled from {network(report['models']['teacher'])}"
    parts = [
        head(report, title),
        caveats(report),
        figures.pareto(report),
        figures.size_plot(report),
        figures.classes(report),
        evidence.pictures(report),
        figures.latency(report),
        figures.cost(report),
        figures.roofline(report),
        evidence.forms(report),
        evidence.added(report),
        evidence.environment(report),
        evidence.provenance(report),
    ]
    style = files("bench.report.html").joinpath(STYLE).read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY, quote=False)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>\n{style}</style></head>\n<body><main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main></body></html>\n"
    )


def head(report: Report, title: str) -> str:
    """What was compressed into what, in one sentence and four figures."""
    data = report["data"]
    where = f"{data['name']}, split {data['split']}, {size(report)} · {machine(report)}"
    return element(
        "header",
        element("h1", escape(title))
        + element("p", escape(summary(report)), class_="summary")
        + element("p", escape(where), class_="where")
        + figures.tiles(report),
    )


def caveats(report: Report) -> str:
    """What a sceptical reader should know first: what failed, was withheld or not scored, and unsteady rows."""
    rows = [row for one in with_added(report) for row in one["latency"]["rows"]]
    lines = [f"{row['name']}: {row['status']}, {row['why']}" for row in rows if row["status"] != "ok"]
    lines += [f"{row['file']}: withheld, {row['withheld']}" for row in report["parity"]["files"] if row.get("withheld")]
    lines += [f"{row['name']}: latency measured, accuracy of this file not measured" for row in rows if unscored(row)]
    lines += [f"{row['name']}: {'; '.join(row['warnings'])}" for row in rows if row.get("warnings")]
    lines += [
        f"{row['name']}, {more_title(table).lower()}: {'; '.join(row['warnings'])}"
        for table in report["latency"].get("more", []) for row in table["rows"] if row["warnings"]
    ]  # fmt: skip
    lines += [f"{machine(one)}: {warning}" for one in with_added(report) for warning in heat_warnings(one)]
    if not lines:
        return ""
    more = details(f"{len(lines) - SHOWN} more", items(lines[SHOWN:])) if len(lines) > SHOWN else ""
    return section("caveats", "Read with care", items(lines[:SHOWN]), more)


def unscored(row: Mapping[str, Any]) -> bool:
    """Whether a row has a latency and its file no accuracy."""
    return row["status"] == "ok" and score_of(row) is None and row.get("quantity", "inference") == "inference"
