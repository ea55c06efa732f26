"""The measurements as text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bench.report.machine_words import heat_warnings
from bench.report.words import number, times
from pipeline.render import table

HEADER = ("row", "ms: p50", "p90", "p95", "p99", "min", "max", "sd", "n", "images/s", "load", "first", "peak MiB")
INTERRUPTED = "interrupted: only what was finished by then; each ratio tells its rounds"
FIGURES = ("p50", "p90", "p95", "p99", "min", "max", "sd")


def text_of(document: Mapping[str, Any]) -> str:
    """What was measured, then what could not be and why, then what to beware of, the ratios and the machine."""
    rows = document["latency"]["rows"]
    measured = [line(row) for row in rows if row["status"] == "ok"]
    notes = [INTERRUPTED] if document["interrupted"] else []
    notes += [f"{row['name']}: failed: {row['why']}" for row in rows if row["status"] == "failed"]
    notes += skipped_lines(rows)
    notes += [f"{row['name']}: {'; '.join(row['warnings'])}" for row in rows if row["warnings"]]
    notes += [f"{row['name']}: {number(row['energy_j'])} J an inference" for row in rows if row.get("energy_j")]
    notes += heat_warnings(document)
    ratios = ratio_lines(rows, document["latency"]["ratios"])
    parts = [[table(HEADER, measured)] if measured else [], notes, ratios, machine(document)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def skipped_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What could not run, a line for each runtime and reason."""
    reasons = Counter((row["runtime"], row["why"]) for row in rows if row["status"] == "skipped")
    return [f"{runtime}: {count} skipped: {why}" for (runtime, why), count in reasons.items()]


def line(row: Mapping[str, Any]) -> Sequence[str]:
    """Cells of a row that has figures."""
    figures = row["statistics"]
    cells = [number(figures[f"{name}_ms"]) for name in FIGURES]
    more = [number(row[name]) for name in ("images_per_s", "load_ms", "first_ms", "peak_mib")]
    return [row["name"], *cells, str(figures["n"]), *more]


def ratio_lines(rows: Sequence[Mapping[str, Any]], ratios: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ratios to the first model of a runtime and to the first runtime of a model; how many more the document has."""
    ok = [row for row in rows if row["status"] == "ok"]
    shape = ("quantity", "batch", "size_px")
    firsts = {
        by: [row for row in ok if row is next(r for r in ok if all(r[k] == row[k] for k in (by, *shape)))]
        for by in ("runtime", "model")
    }
    named = {row["name"]: row for row in ok}
    shown = []
    for ratio in ratios:
        above, below = named[ratio["numerator"]], named[ratio["denominator"]]
        if above in firsts["runtime" if above["runtime"] == below["runtime"] else "model"]:
            shown.append(ratio_line(ratio))
    more = len(ratios) - len(shown)
    return shown + ([f"{more} more ratios in the JSON document"] if more else [])


def ratio_line(ratio: Mapping[str, Any]) -> str:
    """`B against A: 2.0x faster, 96 % interval of the ratio 1.95 to 2.05, 20 rounds`."""
    return (
        f"{ratio['denominator']} against {ratio['numerator']}: {times(ratio['ratio'], 'faster', 'slower')}, "
        f"{ratio['confidence']:.0%} interval of the ratio {ratio['low']:.3f} to {ratio['high']:.3f}, "
        f"{ratio['rounds']} rounds"
    )


def machine(document: Mapping[str, Any]) -> list[str]:
    """One line on what this was measured, and how."""
    cpu, settings = document["environment"]["cpu"], document["latency"]["settings"]
    gpus = ", ".join(gpu["name"] for gpu in document["environment"]["gpus"]) or "no GPU"
    load = " ".join(f"{value:.2f}" for value in cpu["load_average"] or ())
    asked = "asked for " if document["interrupted"] else ""
    return [
        f"{cpu['model']}, {settings['threads']} thread{'s' if settings['threads'] != 1 else ''} of "
        f"{cpu['usable_cores']} cores, load {load or '-'}; {gpus}; "
        f"{asked}{settings['repeats']} rounds, at least {settings['min_s']:g} s and {settings['min_samples']} samples "
        f"a row, at most {settings['max_s']:g} s"
    ]
