"""What a sceptical reader should know first: what failed, was withheld or not scored, and unsteady rows."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bench.report.machine_words import heat_warnings
from bench.report.points import Report, score_of, with_added
from bench.report.reading import machine
from bench.report.words import more_title, out_of_place

FIGURE = re.compile(r"\d[\d.]*%?")
Note = tuple[str, str]
"""What a remark is on, and the remark."""
NAMED = 5
"""Rows that a remark of several names; the tables have them all."""
UNSCORED = "latency measured, accuracy of this file not measured"
MADE_FOR_TENSORRT = "made for TensorRT, whose rules of int8 a CPU's kernels are slow at: no figure of what ships"


def caveats(report: Report) -> list[str]:
    """A line for each thing to beware of, in the report and in those that were added to it, the gravest first."""
    rows = [row for one in with_added(report) for row in one["latency"]["rows"]]
    withheld = [file for file in report["parity"]["files"] if file.get("withheld")]
    return [
        *likewise((row["name"], f"{row['status']}, {row['why']}") for row in rows if row["status"] != "ok"),
        *likewise(note for one in with_added(report) for note in failed_further(one)),
        *likewise((file["file"], f"withheld, {file['withheld']}") for file in withheld),
        *other_split(report),
        *likewise((row["name"], UNSCORED) for row in rows if unscored(row)),
        *likewise((row["name"], MADE_FOR_TENSORRT) for row in rows if inferred(row) and out_of_place(row)),
        *(f"{machine(one)}: {warning}" for one in with_added(report) for warning in heat_warnings(one)),
        *likewise(note for one in with_added(report) for note in row_notes(one)),
    ]


def row_notes(report: Report) -> Iterable[Note]:
    """The warnings of all rows, those of further batches and sizes among them."""
    named = [*((row["name"], row) for row in report["latency"]["rows"]), *further(report)]
    return ((name, warning) for name, row in named for warning in row.get("warnings", ()))


def further(report: Report) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """(name, row) of the tables of further batches and sizes; the name tells which."""
    for table in report["latency"].get("more", []):
        title = more_title(table).lower()
        yield from ((f"{row['name']}, {title}", row) for row in table["rows"])


def failed_further(report: Report) -> Iterable[Note]:
    """What failed at a further batch or size alone; what was skipped there stands in its table."""
    return ((name, f"failed, {row['why']}") for name, row in further(report) if row["status"] == "failed")


def other_split(report: Report) -> Iterable[str]:
    """That files and networks were scored on two splits, whose mIoU are two things."""
    files, networks = report["parity"]["split"], report["data"]["split"]
    if files != networks and any(inferred(row) and score_of(row) for row in report["latency"]["rows"]):
        yield f"mIoU of exported files is of split {files}, in torch it is of split {networks}: not comparable"


def likewise(notes: Iterable[Note]) -> list[str]:
    """A line for each remark, that of several which differ in their figures alone:

    a: variation 12% is above 2.5%; likewise b (20%), c (7%)
    """
    alike: dict[str, list[Note]] = {}
    for name, words in notes:
        alike.setdefault(FIGURE.sub("#", words), []).append((name, words))
    return [line(*group) for group in alike.values()]


def line(first: Note, *others: Note) -> str:
    """Remarks of one kind."""
    name, words = first
    named = [f"{other}{differing(words, remark)}" for other, remark in others[:NAMED]]
    more = [f"{len(others) - NAMED} more"] if len(others) > NAMED else []
    return f"{name}: {words}" + (f"; likewise {', '.join([*named, *more])}" if named else "")


def differing(words: str, other: str) -> str:
    """` (20%)`: the figures of the other remark that are not the same in this one."""
    pairs = zip(FIGURE.findall(words), FIGURE.findall(other), strict=True)
    found = [theirs for ours, theirs in pairs if ours != theirs]
    return f" ({', '.join(found)})" if found else ""


def unscored(row: Mapping[str, Any]) -> bool:
    """Whether a row has a latency and its file no accuracy."""
    return inferred(row) and score_of(row) is None


def inferred(row: Mapping[str, Any]) -> bool:
    """Whether a row has the latency of an inference alone."""
    return row["status"] == "ok" and row.get("quantity", "inference") == "inference"
