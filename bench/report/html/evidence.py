"""The sections that prove: parity, TensorRT, added machines, pictures, environment, provenance. Data to HTML."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from bench.report.html.markup import items, paragraph, section, table
from bench.report.html.svg import element
from bench.report.markdown import (
    ADDED_HEADER,
    PARITY_HEADER,
    PROVENANCE_HEADER,
    added_rows,
    environment_rows,
    limits_text,
    parity_rows,
    provenance_rows,
)
from bench.report.points import Report, network_of
from bench.report.reading import machine
from bench.report.tensorrt_words import tensorrt_lines
from bench.report.words import ROLES, percent

MASK_OPACITY = 0.62


def forms(report: Report) -> str:
    """Every exported file beside torch, also the withheld ones with the reason, and what is known of TensorRT."""
    found = report["parity"]
    said = (
        f"Pictures of split {found['split']} went through torch and through each file; a file beyond a limit is "
        f"withheld. Limits: {limits_text(found['limits'])}. Shares in percent."
    )
    rows = [[row[0], row[-1], *row[1:-1]] for row in parity_rows(report)]
    header = [PARITY_HEADER[0], PARITY_HEADER[-1], *PARITY_HEADER[1:-1]]
    return section(
        "forms",
        "Exported forms",
        paragraph(said),
        table("Parity of the exported forms", header, rows, 2),
        element("h3", "TensorRT"),
        items(tensorrt_lines(report)),
    )


def added(report: Report) -> str:
    """Reports of other machines or networks: their own rows, and never a ratio with this report's."""
    parts = [one_added(report, one) for one in report.get("added", [])]
    if not parts:
        return ""
    said = "Latencies of two machines are not comparable; no ratio in this report mixes them."
    return section("added", "Other machines and networks", paragraph(said), *parts)


def one_added(report: Report, one: Mapping[str, Any]) -> str:
    """The rows and the environment of one added report."""
    other = one["report"]
    name = machine(other)
    title = f"{name}: {network_of(other, 'student')}"
    environment = table(f"Environment of {name}", ("fact", "value"), environment_rows(other["environment"]), 2)
    return (
        element("h3", escape(title))
        + table(f"Latency on {name}, ms", ADDED_HEADER, added_rows(report, other), closing=3)
        + environment
    )


def pictures(report: Report) -> str:
    """The worst and the best pictures with label and predictions laid over them; nothing where none were kept."""
    found = report.get("pictures")
    if not found or not found["items"]:
        return ""
    said = (
        f"Worst and best of {found['scored_images']} pictures of split {found['split']} by the student's mIoU on the "
        "picture alone, over the classes that occur in it or were predicted."
    )
    cards = [card(index, item) for index, item in enumerate(found["items"])]
    return section("pictures", "Worst and best pictures", paragraph(said), colour_key(found["colours"]), *cards)


def colour_key(colours: Mapping[str, Iterable[int]]) -> str:
    """Classes with their colours; ignored pixels are black."""
    keys = (
        element("span", element("i", style=f"background:{rgb(colour)}") + escape(name))
        for name, colour in [*colours.items(), ("ignored", (0, 0, 0))]
    )
    return element("p", "".join(keys), class_="legend")


def rgb(colour: Iterable[int]) -> str:
    """A colour for a style: whole numbers alone, whatever the data say."""
    return f"rgb({','.join(str(int(part)) for part in colour)})"


def card(index: int, item: Mapping[str, Any]) -> str:
    """One picture: as it is, and under its label and each prediction."""
    height, width = (int(length) for length in item["size_px"])
    name = f"picture-{index}"
    image = element("image", href=item["picture"], width=width, height=height, id=name)
    shown = [panel(image, "picture", width, height)]
    layers = {"label": item["label"], **{ROLES[r]: item["predictions"][r] for r in ROLES if r in item["predictions"]}}
    for words, uri in layers.items():
        mask = element("image", href=uri, width=width, height=height, opacity=MASK_OPACITY)
        shown.append(panel(element("use", href=f"#{name}") + mask, words, width, height))
    title = f"{item['rank']}: mIoU {percent(item['miou'])} %, {item['image']}"
    return element("div", element("h3", escape(title)) + element("div", "".join(shown), class_="panels"), class_="card")


def panel(content: str, words: str, width: int, height: int) -> str:
    """A picture with its caption."""
    title = element("title", escape(words))
    svg = element("svg", title + content, viewBox=f"0 0 {width} {height}", role="img", aria_label=words)
    return element("figure", svg + element("figcaption", escape(words)))


def environment(report: Report) -> str:
    """What this report's latencies were measured on."""
    rows = environment_rows(report["environment"])
    return section("environment", "Environment", table("Environment", ("fact", "value"), rows, 2))


def provenance(report: Report) -> str:
    """Digests of everything that the figures belong to."""
    rows = provenance_rows(report)
    return section("provenance", "Provenance", table("Digests", PROVENANCE_HEADER, rows, 3))
