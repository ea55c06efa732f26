"""The sections that compare: accuracy against latency and size, classes, latencies, cost. Data to HTML."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from bench.report.html.charts import SHAPES, Mark, Samples, bars, scatter, violins
from bench.report.html.markup import details, figure, legend, paragraph, section, table
from bench.report.html.svg import element
from bench.report.machine_words import (
    PEAK_HEADER,
    ROOFLINE_HEADER,
    extra_table,
    extra_words,
    peak_rows,
    roofline_rows,
    roofline_words,
)
from bench.report.markdown import COMPLEXITY_HEADER, LATENCY_HEADER, complexity_rows, latency_row
from bench.report.points import Point, Report, by_machine, dots, frontier, points
from bench.report.summary import shipped
from bench.report.words import PAIRED, ROLES, giga, mega, more_title, network, number, of, percent, size

LAYERS_SHOWN = 12
ARROW = "An arrow goes from the student trained without distillation to the same network with it."


def tiles(report: Report) -> str:
    """The figures that a manager asks for: teacher -> student."""
    costs, split = report["complexity"], report["data"]["split"]
    scores = {role: of(report["accuracy"], role, split, "miou") for role in ROLES}
    speed = {row["name"]: row["statistics"]["p50_ms"] for row in report["latency"]["rows"] if row["status"] == "ok"}
    found = [
        ("parameters, M", mega(costs["teacher"]["params_with_aux"]), mega(costs["student"]["params_with_aux"])),
        ("Conv2d MACs, G", giga(costs["teacher"]["macs_with_aux"]), giga(costs["student"]["macs_with_aux"])),
        ("p50 in torch, ms", number(speed.get("teacher torch")), number(speed.get("student torch"))),
        ("mIoU in torch, %", percent(scores["teacher"]), percent(scores["student"])),
    ]
    if file := shipped(report):
        found.append((f"p50 in {file.runtime}, ms", number(file.teacher_ms), number(file.student_ms)))
    measured = [tile for tile in found if tile[1:] != ("-", "-")]
    return "".join(
        f'<div class="tile"><dt>{name}</dt><dd><span>{teacher}</span> → <b>{student}</b></dd></div>'
        for name, teacher, student in measured
    ).join(('<dl class="tiles">', "</dl>"))


def pareto(report: Report) -> str:
    """mIoU against latency of every scored form on every machine, with each machine's frontier."""
    found = points(report)
    if not found:
        return section("pareto", "Accuracy against latency", paragraph("No file was both measured and scored."))
    machines = by_machine(found)
    shapes = {name: SHAPES[index % len(SHAPES)] for index, name in enumerate(machines)}
    numbers = {id(point): index for index, point in enumerate(found, 1)}
    best = {id(point) for here in machines.values() for point in frontier(here)}
    marks = [mark_of(point, str(numbers[id(point)]), shapes[point.machine]) for point in found]
    lines = [[(p.p50_ms, 100 * p.miou) for p in frontier(here)] for here in machines.values()]
    chart = partial(scatter, marks, lines, ("median latency, ms", "mIoU, %"), "Accuracy against latency")
    rows = [
        [
            f"{numbers[id(p)]}{' *' if id(p) in best else ''}", p.name,
            number(p.p50_ms), percent(p.miou), str(p.images), p.network, p.machine,
        ]
        for p in found
    ]  # fmt: skip
    keys = roles_of(found) | {f"shape {shapes[name]}": name for name in machines if len(machines) > 1}
    return section(
        "pareto",
        "Accuracy against latency",
        figure(
            chart,
            "Up and to the left is better. Each point is one file in one runtime, with the accuracy of that very file; "
            "the staircase is what a machine's best files reach. Numbers refer to the table.",
            legend(keys),
        ),
        table(
            "Points of the plot; * none on its machine is both faster and more accurate",
            ("#", "file and runtime", "p50, ms", "mIoU, %", "images", "network", "machine"),
            rows,
            words=2,
            closing=2,
        ),
    )


def mark_of(point: Point, label: str, shape: str) -> Mark:
    """A point as a mark of the plot."""
    tip = f"{point.name}, {point.network}, {point.machine}: {number(point.p50_ms)} ms, mIoU {percent(point.miou)} %"
    return Mark(point.p50_ms, 100 * point.miou, label, tip, point.role, shape)


def roles_of(found: Sequence[Point]) -> dict[str, str]:
    """Keys of the roles that occur."""
    present = {point.role for point in found}
    return {role: words for role, words in ROLES.items() if role in present}


def size_plot(report: Report) -> str:
    """Parameters against mIoU, as the paper's figure 4: what distillation adds at no cost."""
    found = dots(report)
    if not found:
        return ""
    marks = [
        Mark(dot.params / 1e6, 100 * dot.miou, dot.network, f"{dot.label}: {percent(dot.miou)} %", dot.role)
        for dot in found
    ]
    arrows = [
        [(one.params / 1e6, 100 * one.miou), (other.params / 1e6, 100 * other.miou)]
        for one, other in pairwise(found)
        if (one.role, other.role) == ("baseline", "student") and one.network == other.network
    ]
    marks = [mark if mark.role != "baseline" else unnamed(mark) for mark in marks]
    axes = ("parameters with the auxiliary head, M", "mIoU, %")
    chart = partial(scatter, marks, arrows, axes, "Parameters against accuracy", arrows=True)
    present = {dot.role for dot in found}
    return section(
        "size",
        "Accuracy against size",
        figure(
            chart,
            "Upper left is better." + (f" {ARROW}" if arrows else ""),
            legend({role: words for role, words in ROLES.items() if role in present}),
        ),
    )


def unnamed(mark: Mark) -> Mark:
    """A mark without its label: the student above or below it has the same."""
    return Mark(mark.x, mark.y, "", mark.tip, mark.role, mark.shape)


def classes(report: Report) -> str:
    """IoU of each class: bars, and the table."""
    split = report["data"]["split"]
    scored = {role: report["accuracy"][role][split] for role in ROLES if of(report["accuracy"], role, split)}
    if not scored:
        return section("classes", "Classes", paragraph("No scores: the data has no labelled evaluation split."))
    names = report["data"]["classes"]
    groups = [
        (name, [(role, in_percent(of(values, "per_class_iou", name))) for role, values in scored.items()])
        for name in names
    ]
    rows = [
        ["mIoU", *(percent(values["miou"]) for values in scored.values())],
        ["pixel accuracy", *(percent(values["pixel_accuracy"]) for values in scored.values())],
        *([name, *(percent(of(values, "per_class_iou", name)) for values in scored.values())] for name in names),
    ]
    images = ", ".join(f"{values['images']} ({ROLES[role]})" for role, values in scored.items())
    chart = partial(bars, groups, "% IoU", "IoU of each class", most=100.0)
    caption = f"Split {split}; images: {images}. A dash: the class occurs in no label and no prediction."
    return section(
        "classes",
        "Classes",
        figure(chart, caption, legend({role: ROLES[role] for role in scored})),
        table(f"IoU in percent, split {split}", ["class", *(ROLES[role] for role in scored)], rows),
    )


def in_percent(share: float | None) -> float | None:
    """A share of 1 in percent."""
    return None if share is None else 100 * share


def latency(report: Report) -> str:
    """Distributions of the raw samples, every figure, and the paired ratios."""
    measured, settings = report["latency"]["rows"], report["latency"]["settings"]
    rows = [Samples(row["name"], row["role"], flat(row["rounds_ms"])) for row in measured if row["status"] == "ok"]
    chart = partial(violins, rows, "Latency distributions")
    said = (
        f"Milliseconds an inference of batch {settings['batch']} at {size(report)} on {settings['device']}, from uint8 "
        f"pictures to logits or labels, both in host memory; rows that end in pipeline go from a picture's file to "
        f"labels of its size. Candidates took turns in {settings['repeats']} rounds. {PAIRED}"
    )
    caption = (
        "Density of the raw samples around each row's own median; the dark line spans the 5th to the 95th percentile. "
        "Narrow is steady."
    )
    return section(
        "latency",
        "Latency",
        paragraph(said),
        figure(chart, caption) if rows else "",
        table("Latency, ms", LATENCY_HEADER, [latency_row(row) for row in measured], closing=2),
        energy_and_memory(report),
        ratios(report["latency"]),
        *(more_latency(one) for one in report["latency"].get("more", [])),
    )


def energy_and_memory(report: Report) -> str:
    """Energy and peak memory of the rows that have them; nothing where none has."""
    header, found = extra_table(report["latency"]["rows"])
    return table("Energy and memory", header, found) + paragraph(extra_words(report)) if found else ""


def more_latency(found: Mapping[str, Any]) -> str:
    """The table of a further batch or size with its ratios."""
    rows = [latency_row(row) for row in found["rows"]]
    return table(f"Latency, ms: {more_title(found).lower()}", LATENCY_HEADER, rows, closing=2) + ratios(found)


def ratios(latency: Mapping[str, Any]) -> str:
    """Paired ratios of a table: the teacher's against the student's in sight, the others folded."""
    found = latency["ratios"]
    first = [r for r in found if r["numerator"].startswith("teacher") and r["denominator"].startswith("student")]
    others = [ratio for ratio in found if ratio not in first]
    shown = ratio_table("Teacher against student: paired ratios of one run", first) if first else ""
    more = details(f"{len(others)} more paired ratios", ratio_table("Other paired ratios", others)) if others else ""
    return shown + more


def ratio_table(caption: str, found: Sequence[Mapping[str, Any]]) -> str:
    """How many times faster the second of two candidates is, with the interval."""
    header = ("candidate", "against", "times faster", "from", "to", "confidence, %", "rounds")
    rows = [
        [
            r["denominator"], r["numerator"], f"{r['ratio']:.2f}", f"{r['low']:.2f}", f"{r['high']:.2f}",
            f"{100 * r['confidence']:.1f}", str(r["rounds"]),
        ]
        for r in found
    ]  # fmt: skip
    return table(caption, header, rows, 2)


def flat(rounds: Sequence[Sequence[float]]) -> list[float]:
    """All samples of a row."""
    return [sample for samples in rounds for sample in samples]


def cost(report: Report) -> str:
    """Totals under both conventions and where the multiply-accumulates are."""
    said = (
        f"One image of {size(report)}. Paper: auxiliary head included, Conv2d only. Deployed: without it. Other MACs: "
        "transposed convolutions and matrix products. FLOPs: two per MAC of any kind. Activations: the most that is "
        "held at once in float32, operators one after the other."
    )
    totals = table("Cost of the networks", COMPLEXITY_HEADER, complexity_rows(report), 2)
    return section("cost", "Cost", paragraph(said), totals, *(layers(report, role) for role in report["complexity"]))


def layers(report: Report, role: str) -> str:
    """The heaviest layers of one network, and all of them folded."""
    found = [layer for layer in report["complexity"][role].get("layers", []) if not layer["aux"]]
    if not found:
        return ""
    total = sum(macs_of(layer) for layer in found)
    top = sorted(found, key=macs_of, reverse=True)[:LAYERS_SHOWN]
    groups = [(layer["name"], [(role, 100 * macs_of(layer) / total)]) for layer in top]
    name = network(report["models"][role])
    chart = partial(bars, groups, "% of the MACs", f"Heaviest layers of the {role}")
    share = sum(macs_of(layer) for layer in top) / total
    caption = f"In {name}, these {len(top)} of {len(found)} layers have {share:.0%} of the MACs; bars in % of all."
    rows = [
        [
            one["name"],
            one["type"],
            "x".join(map(str, one["output"] or ())) or "-",
            f"{one['params']:,}",
            f"{macs_of(one):,}",
        ]
        for one in found
    ]
    header = ("layer", "type", "output", "params", "MACs")
    every = details(f"All {len(found)} layers of {name}", table(f"Layers of {name}, deployed", header, rows, 3))
    return element("h3", f"Heaviest layers of the {role}") + figure(chart, caption) + every


def macs_of(layer: Mapping[str, Any]) -> int:
    """Multiply-accumulates of every kind."""
    return sum(layer["macs"].values())


def roofline(report: Report) -> str:
    """What this machine can at most, and how much of it each model gets; nothing where it was not measured."""
    found = report.get("roofline")
    if not found:
        return ""
    return section(
        "roofline",
        "Roofline",
        paragraph(roofline_words(found)),
        table("Share of the attainable rate", ROOFLINE_HEADER, roofline_rows(found), closing=2),
        table("Peaks of this machine", PEAK_HEADER, peak_rows(found), 2),
    )
