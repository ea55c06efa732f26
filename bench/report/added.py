"""A board's report, or that of another network, folded into a report: shown beside it, never in a ratio with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.report.reading import read_report
from export.sidecar import sha256
from pipeline.errors import StoreError

LEFT_OUT = ("pictures", "added")
"""Parts of an added report that do not travel along."""


def fold(report: Mapping[str, Any], paths: Sequence[Path]) -> dict[str, Any]:
    """The report with the reports in `paths` added; one that is there already, by its bytes, is not added twice.

    StoreError for a file that is no report, or whose accuracy belongs to other data: the two mIoU would stand on one
    axis and mean two things.
    """
    if not paths:
        return dict(report)
    if report.get("kind") == "board":
        raise StoreError("a board's report is added to that of stage bench, not the other way round")
    added = list(report.get("added", []))
    for path in paths:
        digest = sha256(path)
        if digest in {one["sha256"] for one in added}:
            continue
        other = read_report(path)
        refuse_other_data(report, other, path)
        kept = {name: part for name, part in other.items() if name not in LEFT_OUT}
        added.append({"file": path.name, "sha256": digest, "report": kept})
    return {**report, "added": added}


def refuse_other_data(report: Mapping[str, Any], other: Mapping[str, Any], path: Path) -> None:
    """StoreError where another report scored another data set or split, or tells of other classes."""
    if "data" not in other:
        return
    here, there = (tuple(one["data"][name] for name in ("name", "split")) for one in (report, other))
    apart = "their mIoU cannot stand beside each other; use --compare for the rest"
    if here != there:
        raise StoreError(
            f"{path} scores split {there[1]} of {there[0]}, this report split {here[1]} of {here[0]}: {apart}"
        )
    if report["data"]["classes"] != other["data"]["classes"]:
        raise StoreError(f"{path} tells of other classes of {there[0]} than this report: {apart}")


def same_file(report: Mapping[str, Any], other: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether a board's row measured a file of this report's export, or an engine that was built from one."""
    files = set(report["provenance"]["files"].values())
    built_from = {engine["sha256"]: engine["onnx"]["sha256"] for engine in other.get("engines") or []}
    digest = row.get("sha256")
    return digest in files or built_from.get(digest) in files
