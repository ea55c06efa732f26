"""report.json -> report.html: one file that asks nothing of any network and runs no script."""

from html import escape
from importlib.resources import files

from bench.report.caveats import caveats
from bench.report.html import evidence, figures
from bench.report.html.markup import details, items, paragraph, section
from bench.report.html.svg import element
from bench.report.points import Report
from bench.report.reading import machine
from bench.report.summary import halves
from bench.report.words import network, size

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
        read_with_care(report),
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
        + "".join(paragraph(words, css) for words, css in zip(halves(report), ("summary", "shipped"), strict=False))
        + element("p", escape(where), class_="where")
        + figures.tiles(report),
    )


def read_with_care(report: Report) -> str:
    """The first caveats in sight, the others folded; nothing where there are none."""
    lines = caveats(report)
    if not lines:
        return ""
    more = details(f"{len(lines) - SHOWN} more", items(lines[SHOWN:])) if len(lines) > SHOWN else ""
    return section("caveats", "Read with care", items(lines[:SHOWN]), more)
