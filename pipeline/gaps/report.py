"""How far a student stands from its teacher in the two things that IDD speaks of, told from its gaps.json.

gaps.json, written with the student: `split`, `images`, `classes`; `inter_class` with the term's `tap` and, by tap, the
`graphs` of `teacher`, `before` and `after` training (K x K, relative to each image's mean distance); `position` with
the distance of the masks by axis, before and after.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from pipeline.render import figure, table

GAPS = "gaps.json"
TEACHER, BEFORE, AFTER = "teacher", "before", "after"
AXES = "horizontal", "vertical"
BASELINE = "without distillation"
TITLES = {BEFORE: "student, untrained", BASELINE: f"student, {BASELINE}", AFTER: "student"}
Graph = Sequence[Sequence[float | None]]


@dataclass(frozen=True)
class Standing:
    """One student at one time; what was not measured is None."""

    who: str
    """`before` or `after` training, or `without distillation`."""
    inter_class: float | None
    """Mean absolute difference of its distance graph to the teacher's, both relative."""
    mean_distance: float | None
    """Mean distance of two classes, in units of the map."""
    horizontal: float | None
    """Distance of the position masks along each axis: unit vectors, eq. 5, 0 to 2."""
    vertical: float | None


def read_gaps(folder: Path) -> dict[str, Any] | None:
    """What gaps.json of an artifact holds; None where it was not measured."""
    path = folder / GAPS
    if not path.is_file():
        return None
    gaps: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return gaps


def difference(graph: Graph, other: Graph) -> float | None:
    """Mean absolute difference over the pairs of classes that both have; None where there is no such pair."""
    pairs = [
        abs(a - b)
        for row, other_row in zip(graph, other, strict=True)
        for a, b in zip(row, other_row, strict=True)
        if a is not None and b is not None
    ]
    return mean(pairs) if pairs else None


def graphs_of(gaps: Mapping[str, Any], baseline: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """The graphs at the term's tap by who they belong to; the baseline's only where it saw the same images."""
    tap = gaps["inter_class"]["tap"]
    own = gaps["inter_class"]["graphs"][tap]
    graphs = {who: own[who] for who in (TEACHER, BEFORE) if who in own}
    if baseline and baseline["images"] == gaps["images"]:
        theirs = baseline["inter_class"]["graphs"].get(tap, {})
        graphs |= {BASELINE: theirs[AFTER]} if AFTER in theirs else {}
    return {**graphs, AFTER: own[AFTER]}


def standings(gaps: Mapping[str, Any], baseline: Mapping[str, Any] | None = None) -> list[Standing]:
    """Every student that was looked at, in order of time."""
    graphs = graphs_of(gaps, baseline)
    teacher = graphs.pop(TEACHER, None)
    position = gaps["position"] or {}
    return [
        Standing(
            who,
            difference(graph["relative"], teacher["relative"]) if teacher else None,
            graph["mean_distance"],
            position.get(who, {}).get("horizontal"),
            position.get(who, {}).get("vertical"),
        )
        for who, graph in graphs.items()
    ]


def panels(gaps: Mapping[str, Any], baseline: Mapping[str, Any] | None = None) -> list[tuple[str, Graph]]:
    """Title and relative graph of everyone, the teacher first: what the heat map shows."""
    differences = {standing.who: standing.inter_class for standing in standings(gaps, baseline)}
    titled = []
    for who, graph in graphs_of(gaps, baseline).items():
        away = differences.get(who)
        title = TITLES.get(who, who) if away is None else f"{TITLES[who]}\n{figure(away)} from the teacher's"
        titled.append((title, graph["relative"]))
    return titled


def verdicts(found: Sequence[Standing]) -> list[str]:
    """Whether each gap has become smaller than it was without distillation, or where that is not known, untrained."""
    *earlier, after = found
    lines = []
    for gap in ("inter_class", *AXES):
        known = [(standing.who, getattr(standing, gap)) for standing in earlier]
        known = [(who, value) for who, value in known if value is not None]
        now = getattr(after, gap)
        if not known or now is None:
            continue
        who, before = known[-1]
        change = f"{abs(now / before - 1):.0%} {'smaller' if now < before else 'larger'}" if before else "no smaller"
        name = "inter-class distances" if gap == "inter_class" else f"position, {gap}"
        than = "without distillation" if who == BASELINE else "before training"
        lines.append(f"{name}: gap {figure(before)} -> {figure(now)}, {change} than {than}")
    return lines


def gaps_text(gaps: Mapping[str, Any], baseline: Mapping[str, Any] | None, note: str) -> str:
    """The gaps as a table, what became of each, and what the figures mean; `note` says whose the baseline is."""
    found = standings(gaps, baseline)
    cells = [
        (TITLES[s.who], *("-" if v is None else figure(v) for v in (s.inter_class, s.horizontal, s.vertical)))
        for s in found
    ]
    tap, images = gaps["inter_class"]["tap"], f"{len(gaps['images'])} images of {gaps['split']}"
    head = ("gap to the teacher", f"class distances ({tap})", "position horizontal", "vertical")
    meaning = (
        f"on {images}; class distances: mean difference of the two graphs, each relative to its mean distance; "
        "position: distance of the masks' rows and columns as unit vectors, read through the adapter "
        "that is trained with the student"
    )
    return "\n".join([table(head, cells), *verdicts(found), meaning, *filter(None, [note])])


def gaps_json(gaps: Mapping[str, Any], baseline: Mapping[str, Any] | None) -> dict[str, Any]:
    """The same as plain values."""
    tap = gaps["inter_class"]["tap"]
    return {
        "split": gaps["split"],
        "images": len(gaps["images"]),
        "tap": tap,
        "standings": [asdict(standing) for standing in standings(gaps, baseline)],
    }
