"""HTML that sections are made of; every word that comes from data is escaped here."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

from bench.report.html.svg import element

WIDE, NARROW = 720, 348
"""Widths in pixels of a chart on a desktop and on a phone: each page holds both, so that letters keep their size."""


def paragraph(words: str, css: str = "") -> str:
    """A paragraph of plain words."""
    return element("p", escape(words), class_=css) if css else element("p", escape(words))


def items(lines: Iterable[str], css: str = "notes") -> str:
    """A list of plain words; nothing where there are none."""
    written = "".join(element("li", escape(line)) for line in lines)
    return element("ul", written, class_=css) if written else ""


def section(name: str, title: str, *content: str) -> str:
    """A section of the page, to be linked to by its name."""
    return element("section", element("h2", escape(title)) + "".join(content), id=name)


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1, closing: int = 0) -> str:
    """A table that scrolls sideways by itself: the first `words` and the last `closing` columns are words, the others
    numbers. The first column heads its row.
    """
    kinds = ["n" if words <= column < len(header) - closing else "t" for column in range(len(header))]
    head = "".join(
        element("th", escape(name), scope="col", class_=kind) for name, kind in zip(header, kinds, strict=True)
    )
    body = "".join(element("tr", "".join(map(cell, range(len(kinds)), row, kinds))) for row in rows)
    inside = (
        element("caption", element("span", escape(caption)))
        + element("thead", element("tr", head))
        + element("tbody", body)
    )
    # Focusable, so that a keyboard can scroll it.
    return element("div", element("table", inside), class_="scroll", tabindex="0", role="region", aria_label=caption)


def cell(column: int, words: str, kind: str) -> str:
    """A cell of words (`t`) or a number (`n`); the first of a row is its header."""
    if column == 0:
        return element("th", escape(words), scope="row", class_=kind)
    return element("td", escape(words), class_=kind)


def figure(chart: Callable[[int], str], caption: str, legend: str = "") -> str:
    """A chart drawn at both widths, of which the page's style shows one, and what it says."""
    drawn = element("div", chart(WIDE), class_="wide") + element("div", chart(NARROW), class_="narrow")
    return element("figure", legend + drawn + element("figcaption", escape(caption)))


def legend(entries: Mapping[str, str]) -> str:
    """{class of a key: words} as a line of keys."""
    keys = (element("span", element("i", class_=css) + escape(words)) for css, words in entries.items())
    return element("p", "".join(keys), class_="legend")


def details(summary: str, content: str) -> str:
    """What only the sceptical open."""
    return element("details", element("summary", escape(summary)) + content)
