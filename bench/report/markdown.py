"""report.json -> report.md: text from data, nothing is measured or read here.

A report (`bench.report.reading.SCHEMA_VERSION`, report.schema.json) is plain data:

    schema_version  2
    kind            bench
    data            name, classes (names), size_px, split (the one that is quoted), pairs_sha256 (of its pictures)
    models          {role: {net, args, files: {name: sha256}}}, role one of teacher, baseline, student
    accuracy        {role: {split: {images, miou, pixel_accuracy, per_class_iou: {class: share | None}}}}
    complexity      {role: bench.complexity.count.complexity(...)}
    latency         settings (bench.turns.timing.Schedule, batch, device, image),
                    rows (bench.turns.timing.Row.to_json, role, runtime, file, output, quantity, miou, miou_images,
                    energy_j, peak_mib; of an engine also bench.turns.gpu_times),
                    ratios (bench.turns.ratio.Ratio),
                    more [{batch, size_px, rows, ratios}], where the recipe asks for other batches and sizes
    parity          split, limits, files (export.parity.Comparison.to_json)
    environment     bench.machine.environment.describe(), bench.machine.watch.Watch.to_json()
    engines         descriptions of the TensorRT engines that were built (export.deploy.engine_file)
    pictures        bench.report.pictures.worst_and_best(...), or null
    added           [{file, sha256, report}] of bench.report.added, where there are any
    roofline        bench.roofline.peaks.Roof.to_json() and models [bench.roofline.shares.share_of(...)], or null
    provenance      artifacts {stage: {key, digest}}, files {exported file: sha256}
"""

from collections.abc import Iterator, Mapping
from typing import Any

from bench.report.added import same_file
from bench.report.caveats import caveats
from bench.report.machine_words import (
    EXTRAS,
    MACHINE_FACTS,
    PEAK_HEADER,
    ROOFLINE_HEADER,
    extra_table,
    extra_words,
    machine_rows,
    peak_rows,
    roofline_rows,
    roofline_words,
)
from bench.report.points import network_of, score_of
from bench.report.reading import machine
from bench.report.summary import summary
from bench.report.tensorrt_words import tensorrt_lines
from bench.report.words import (
    PAIRED,
    ROLES,
    Report,
    cell,
    giga,
    grid,
    mega,
    more_title,
    network,
    number,
    of,
    percent,
    size,
    times,
)

COMPLEXITY_HEADER = (
    "network",
    "convention",
    "params, M",
    "Conv2d MACs, G",
    "other MACs, G",
    "FLOPs, G",
    "activations, MiB",
)
FIGURES = ("p50", "p90", "p95", "p99")
SPREAD = ("min", "max", "mean", "sd")
LATENCY_HEADER = ("candidate", *FIGURES, "n", "mIoU (images)", *SPREAD, "images/s", "load", "first", "gives", "status")
PARITY_COLUMNS = {
    "file": "file",
    "images": "images",
    "max_abs_logit_error": "max logit error",
    "mean_abs_logit_error": "mean logit error",
    "argmax_agreement": "equal labels",
    "near_ties": "near ties",
    "violations": "violations",
    "miou_torch": "mIoU in torch",
    "miou_exported": "mIoU",
    "miou_images": "mIoU's images",
}
PARITY_HEADER = (*PARITY_COLUMNS.values(), "outcome")
SHARE_DECIMALS = {"argmax_agreement": 4, "miou_torch": 3, "miou_exported": 3}
"""Columns that are shares of 1, and with how many decimals their percentages are shown."""
ADDED_HEADER = (
    *("candidate", *FIGURES, "n", "mIoU, % (images)", "GPU compute p50", "energy, J", "peak, MiB"),
    *("quantity", "exported here", "status"),
)
PROVENANCE_HEADER = ("from", "what", "sha256")
KNOWN_FACTS = ("cpu", "memory_gib", "os", "python", "packages", "gpus", *MACHINE_FACTS)
"""Facts that `environment_rows` has words for."""


def markdown(report: Report) -> str:
    """The whole report as Markdown, one trailing newline."""
    student, teacher = report["models"]["student"], report["models"]["teacher"]
    sections = [
        [f"# {network(student)} distilled from {network(teacher)}", "", f"{summary(report)}."],
        *care(report),
        ["## Accuracy", "", *accuracy(report)],
        ["## Complexity", "", *complexity(report)],
        ["## Latency", "", *latency(report)],
        *roofline(report),
        ["## Parity of the exported forms", "", *parity(report)],
        *([f"## {title}", "", *lines] for title, lines in others(report)),
        ["## Environment", "", *environment(report)],
        ["## Provenance", "", *provenance(report)],
    ]
    text = "\n\n".join("\n".join(lines) for lines in sections) + "\n"
    # Names come from data; a Markdown viewer would take a tag among them for one.
    return text.replace("<", "&lt;")


def care(report: Report) -> Iterator[list[str]]:
    """The caveats; nothing where there are none."""
    lines = caveats(report)
    if lines:
        yield ["## Read with care", "", *(f"- {line}" for line in lines)]


def accuracy(report: Report) -> list[str]:
    """IoU in percent by class and model on the quoted split, and the means on every other one."""
    scored = {role: report["accuracy"][role] for role in ROLES if report["accuracy"].get(role)}
    quoted = report["data"]["split"]
    splits = dict.fromkeys(split for scores in scored.values() for split in scores)
    lines = []
    for split in sorted(splits, key=lambda split: split != quoted):
        scores = [scored[role].get(split) for role in scored]
        images = next(values["images"] for values in scores if values)
        names = report["data"]["classes"] if split == quoted else []
        rows = [
            ["**mIoU**", *(f"**{percent(of(values, 'miou'))}**" for values in scores)],
            ["pixel accuracy", *(percent(of(values, "pixel_accuracy")) for values in scores)],
            *([name, *(percent(of(values, "per_class_iou", name)) for values in scores)] for name in names),
        ]
        lines += [f"Split `{split}`, {images} images, percent.", ""]
        lines += [*grid(["class", *(ROLES[role] for role in scored)], rows), ""]
    return lines[:-1] or ["No scores: the data has no labelled evaluation split."]


def complexity(report: Report) -> list[str]:
    """Cost of each network at the measured size under both conventions."""
    return [
        f"One image of {size(report)}. Paper: auxiliary head included, Conv2d only. Deployed: without it.",
        "Other MACs: transposed convolutions and matrix products. FLOPs: two per MAC of any kind.",
        "Activations: the most that is held at once in float32, operators one after the other.",
        "",
        *grid(COMPLEXITY_HEADER, complexity_rows(report)),
    ]


def complexity_rows(report: Report) -> list[list[str]]:
    """Two rows a network, one for each convention."""
    rows = []
    for role, cost in report["complexity"].items():
        name = network(report["models"][role])
        apart = cost["transposed_conv_macs"] + cost["matmul_macs"]
        paper = [mega(cost["params_with_aux"]), giga(cost["macs_with_aux"]), "-", "-", "-"]
        held = number(cost.get("activation_peak_mib"))
        deployed = [mega(cost["params"]), giga(cost["macs"]), giga(apart), giga(cost["flops"]), held]
        rows += [[name, "paper", *paper], [name, "deployed", *deployed]]
    return rows


def latency(report: Report) -> list[str]:
    """Milliseconds an inference, a row for each candidate, then the paired ratios."""
    settings, rows = report["latency"]["settings"], report["latency"]["rows"]
    lines = [
        f"Milliseconds an inference of batch {settings['batch']} at {size(report)} on {settings['device']},",
        "from uint8 pictures to logits or labels, both in host memory; rows that end in pipeline go from a picture's",
        "file to labels of its size. Loading stands apart; what is compiled is compiled as it is loaded.",
        f"Candidates took turns in {settings['repeats']} rounds.",
        PAIRED,
        "mIoU is that of the measured file:",
        "the teacher's ONNX file is made for this table alone and not scored.",
        "",
        *grid(LATENCY_HEADER, [latency_row(row) for row in rows]),
    ]
    notes = [ratio_line(ratio) for ratio in report["latency"]["ratios"]]
    header, extra = extra_table(rows)
    lines += ["", *notes] if notes else []
    lines += ["", extra_words(report), "", *grid(header, extra)] if extra else []
    return [*lines, *more_latency(report)]


def more_latency(report: Report) -> list[str]:
    """The tables of further batches and sizes."""
    lines: list[str] = []
    for table in report["latency"].get("more", []):
        notes = [ratio_line(ratio) for ratio in table["ratios"]]
        lines += ["", more_title(table), "", *grid(LATENCY_HEADER, map(latency_row, table["rows"]))]
        lines += ["", *notes] if notes else []
    return lines


def roofline(report: Report) -> Iterator[list[str]]:
    """The section on what this machine can do at most; nothing where it was not measured."""
    found = report.get("roofline")
    if found:
        peaks, shares = grid(PEAK_HEADER, peak_rows(found)), grid(ROOFLINE_HEADER, roofline_rows(found))
        yield ["## Roofline", "", roofline_words(found), "", *peaks, "", *shares]


def latency_row(row: Mapping[str, Any]) -> list[str]:
    """Cells of one candidate; a dash where nothing was measured."""
    figures = row["statistics"] or {}
    return [
        row["name"],
        *(number(figures.get(f"{name}_ms")) for name in FIGURES),
        str(figures.get("n", "-")),
        "-" if row["miou"] is None else f"{percent(row['miou'])} ({row['miou_images']})",
        *(number(figures.get(f"{name}_ms")) for name in SPREAD),
        *(number(row[name]) for name in ("images_per_s", "load_ms", "first_ms")),
        cell(row["output"]),
        status_text(row),
    ]


def ratio_line(ratio: Mapping[str, Any]) -> str:
    """A paired ratio and its interval in words; one whose interval holds 1 shows no difference."""
    equal = ratio["low"] <= 1 <= ratio["high"]
    speed = "no difference shown" if equal else times(ratio["ratio"], "faster", "slower")
    interval = f"{ratio['confidence']:.0%} interval of the ratio {ratio['low']:.2f} to {ratio['high']:.2f}"
    return f"- {ratio['denominator']} against {ratio['numerator']}: {speed}, {interval}."


def parity(report: Report) -> list[str]:
    """How each exported file compares with the torch student, on real images."""
    found = report["parity"]
    return [
        f"Pictures of split `{found['split']}` through torch and through each file. Shares in percent.",
        f"Limits: {limits_text(found['limits'])}.",
        "",
        *grid(PARITY_HEADER, parity_rows(report)),
        "",
        *(f"- {line}" for line in tensorrt_lines(report)),
    ]


def limits_text(limits: Mapping[str, Mapping[str, float]]) -> str:
    """What each form may be off by."""
    return "; ".join(
        f"{form} " + ", ".join(f"{name} {value:g}" for name, value in kept.items()) for form, kept in limits.items()
    )


def parity_rows(report: Report) -> list[list[str]]:
    """A row for each file that was made, also of those that were withheld."""
    return [
        [
            *(
                percent(row[name], SHARE_DECIMALS[name]) if name in SHARE_DECIMALS else cell(row[name])
                for name in PARITY_COLUMNS
            ),
            f"withheld: {row['withheld']}" if row.get("withheld") else "published",
        ]
        for row in report["parity"]["files"]
    ]


def others(report: Report) -> Iterator[tuple[str, list[str]]]:
    """Title and rows of each added report: latencies of other machines or networks, in no ratio with this one's."""
    for one in report.get("added", []):
        other = one["report"]
        yield f"{network_of(other, 'student')} on {machine(other)}", grid(ADDED_HEADER, added_rows(report, other))


def added_rows(report: Report, other: Report) -> list[list[str]]:
    """A row for each candidate of an added report, with the accuracy of the file that was measured."""
    rows = []
    for row in other["latency"]["rows"]:
        figures, score = row["statistics"] or {}, score_of(row)
        rows.append(
            [
                row["name"],
                *(number(figures.get(f"{name}_ms")) for name in FIGURES),
                str(figures.get("n", "-")),
                "not measured" if score is None else f"{percent(score[0])} ({score[1]})",
                number((row.get("compute_ms") or {}).get("p50_ms")),
                *(number(row.get(name)) for name in EXTRAS),
                row.get("quantity", "inference"),
                "yes" if same_file(report, other, row) else "no",
                status_text(row),
            ]
        )
    return rows


def status_text(row: Mapping[str, Any]) -> str:
    """`ok`, or why there are no figures."""
    return "ok" if row["status"] == "ok" else f"{row['status']} ({row['why']})"


def environment(report: Report) -> list[str]:
    """What the latencies were measured on."""
    return grid(["", ""], environment_rows(report["environment"]))


def environment_rows(facts: Mapping[str, Any]) -> list[list[str]]:
    """Name and value of what the machine told."""
    cpu = facts["cpu"]
    cores = f"{cpu['usable_cores']} of {cpu['cores']} cores, {cpu['threads'] or 'default'} threads used"
    load = cpu["load_average"]
    rows = [
        ["CPU", f"{cpu['model']}, {cores}"],
        ["board", cpu["board"]],
        ["governor, clock", f"{cell(cpu['governor'])}, {number(cpu['clock_mhz'])} MHz"],
        ["load average at start", load and " ".join(f"{value:.2f}" for value in load)],
        ["memory", facts["memory_gib"] and f"{facts['memory_gib']} GiB"],
        ["system", f"{facts['os']['name']}, kernel {facts['os']['kernel']}, {facts['os']['machine']}"],
        ["Python", facts["python"]],
        *([name, version or "not installed"] for name, version in facts["packages"].items()),
        *(["GPU", f"{gpu['name']}, driver {gpu['driver']}"] for gpu in facts["gpus"]),
        *machine_rows(facts),
        *more_rows(facts),
    ]
    return [[name, cell(value)] for name, value in rows if value is not None]


def more_rows(facts: Mapping[str, Any]) -> list[list[Any]]:
    """Facts that a later measurement tells beside the known ones, as they are."""
    return [
        [name, str(value)] for name, value in facts.items() if name not in KNOWN_FACTS and value not in (None, [], {})
    ]


def provenance(report: Report) -> list[str]:
    """Which artifacts and files the figures belong to."""
    return grid(PROVENANCE_HEADER, provenance_rows(report))


def provenance_rows(report: Report) -> list[list[str]]:
    """Where each figure comes from, by sha256."""
    found = report["provenance"]
    rows = [[stage, f"artifact {one['key']}", one["digest"]] for stage, one in found["artifacts"].items()]
    for role, model in report["models"].items():
        rows += [[ROLES[role], name, digest] for name, digest in model["files"].items()]
    rows += [["exported student", name, digest] for name, digest in found["files"].items()]
    return rows + [["added report", one["file"], one["sha256"]] for one in report.get("added", [])]
