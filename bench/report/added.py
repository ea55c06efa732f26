"""A board's report, or that of another network, folded into a report: shown beside it, never in a ratio with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.report.points import SAME
from bench.report.reading import read_report
from export.sidecar import sha256
from pipeline.errors import StoreError

LEFT_OUT = ("pictures", "added")
"""Parts of an added report that do not travel along."""
APART = "in no plot and under no budget"
"""Where an accuracy of other pictures is not used."""


def fold(report: Mapping[str, Any], paths: Sequence[Path]) -> dict[str, Any]:
    """The report with the reports in `paths` added; one that is there already, by its bytes, is not added twice.

    StoreError for a file that is no report, or whose accuracy belongs to other data: the two mIoU would stand on one
    axis and mean two things. A board scores whatever folder it is given: its rows are marked instead (`marked`).
    """
    if report.get("kind") == "board":
        if paths:
            raise StoreError("a board's report is added to that of stage bench, not the other way round")
        return dict(report)
    added = list(report.get("added", []))
    for path in paths:
        digest = sha256(path)
        if digest in {one["sha256"] for one in added}:
            continue
        other = read_report(path)
        refuse_other_data(report, other, path)
        kept = {name: part for name, part in other.items() if name not in LEFT_OUT}
        added.append({"file": path.name, "sha256": digest, "report": kept})
    marks = [{**one, "report": marked(report, one["report"])} for one in added]
    return {**report, "added": marks} if marks else dict(report)


def refuse_other_data(report: Mapping[str, Any], other: Mapping[str, Any], path: Path) -> None:
    """StoreError where another report scored another data set or split, or tells of other classes."""
    apart = "their mIoU cannot stand beside each other; use --compare for the rest"
    if "data" not in other:
        classes = report["data"]["classes"]
        # An older board's report says nothing of them.
        if other["bundle"].get("classes", classes) != classes:
            raise StoreError(f"{path} tells of other classes than this report: {apart}")
        return
    here, there = (tuple(one["data"][name] for name in ("name", "split")) for one in (report, other))
    if here != there:
        raise StoreError(
            f"{path} scores split {there[1]} of {there[0]}, this report split {here[1]} of {here[0]}: {apart}"
        )
    if len({one["data"]["pairs_sha256"] for one in (report, other) if one["data"].get("pairs_sha256")}) > 1:
        raise StoreError(f"{path} scores other pictures as split {there[1]} of {there[0]} than this report: {apart}")
    if report["data"]["classes"] != other["data"]["classes"]:
        raise StoreError(f"{path} tells of other classes of {there[0]} than this report: {apart}")


def marked(report: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """An added report in which a board's accuracies say whether they are of this report's pictures.

    `accuracy.pictures` is `same` as those of the split that this report quotes, `other`, or `unknown` where one of
    the two does not tell. The last two are a warning of the row too.
    """
    latency = other["latency"]
    rows = [with_mark(report, row) if isinstance(row.get("accuracy"), Mapping) else row for row in latency["rows"]]
    return {**other, "latency": {**latency, "rows": rows}}


def with_mark(report: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """A board's row that was scored, beside a report."""
    data, accuracy = report["data"], row["accuracy"]
    here, there = data.get("pairs_sha256"), accuracy.get("pairs_sha256")
    pictures = "unknown" if None in (here, there) else SAME if here == there else "other"
    warnings = list(row.get("warnings", ()))
    if pictures != SAME and row.get("quantity", "inference") == "inference":
        warning = f"mIoU of {pictures} pictures, not of split {data['split']} of {data['name']}: {APART}"
        # What was marked before is marked again.
        warnings += [warning] if warning not in warnings else []
    return {**row, "accuracy": {**accuracy, "pictures": pictures}, "warnings": warnings}


def set_apart(report: Mapping[str, Any]) -> list[str]:
    """A line for each added row whose accuracy is not used."""
    rows = [(one["file"], row) for one in report.get("added", []) for row in one["report"]["latency"]["rows"]]
    return [f"{file}: {row['name']}: {w}" for file, row in rows for w in row.get("warnings", ()) if w.endswith(APART)]


def same_file(report: Mapping[str, Any], other: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether a board's row measured a file of this report's export, or an engine that was built from one."""
    files = set(report["provenance"]["files"].values())
    built_from = {engine["sha256"]: engine["onnx"]["sha256"] for engine in other.get("engines") or []}
    digest = row.get("sha256")
    return digest in files or built_from.get(digest) in files
