"""Reading a report.json of this machine or of a board, and naming the machine that it tells of."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError

SCHEMA_VERSION = 2
"""Of the form that `bench.report.markdown` describes and report.schema.json checks."""
KINDS: Mapping[str, int] = {"bench": SCHEMA_VERSION, "board": 1}
"""Kind of a report -> the version of its form that is read here. A board's is that of `bench.board`."""
LATENCY = ("latency.settings", "latency.rows", "latency.ratios")
ENVIRONMENT = ("environment.cpu", "environment.packages", "environment.os", "environment.gpus")
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "bench": (
        *("data.classes", "data.size_px", "models.student", "models.teacher", "accuracy"),
        *("complexity.student", "complexity.teacher", *LATENCY, "parity.files", "parity.limits", *ENVIRONMENT),
        *("provenance.artifacts", "provenance.files"),
    ),
    "board": ("bundle", *ENVIRONMENT, *LATENCY, "engines"),
}
"""Parts without which a report is not read, by kind: what a copy that broke off or was edited by hand may lack."""
FILE = "report.json"


def read_report(path: Path) -> dict[str, Any]:
    """The report in a file, or in the folder that holds one as report.json.

    StoreError for a file that is no report, or one of another form than is read here.
    """
    path = path / FILE if path.is_dir() else path
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read as a report: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict) or "schema_version" not in found:
        raise StoreError(f"{path} is no report: it has no schema_version; give a report.json of bench or of a board")
    check(found, path)
    return found


def check(found: Mapping[str, Any], path: Path) -> None:
    """StoreError where a report is of a kind or version that is not read here, or lacks a part."""
    kind, version = found.get("kind", "bench"), found["schema_version"]
    if kind not in KINDS:
        raise StoreError(f"{path} is a report of kind {kind!r}; known are {', '.join(KINDS)}")
    if version != KINDS[kind]:
        raise StoreError(
            f"{path} is a {kind} report of schema version {version}, this reads version {KINDS[kind]}: "
            "measure again, or read it with the release that wrote it"
        )
    lacks = [name for name in REQUIRED[kind] if not isinstance(part_of(found, name), (dict, list))]
    if lacks:
        raise StoreError(f"{path} is no whole {kind} report: it lacks {', '.join(lacks)}")


def part_of(found: Any, name: str) -> Any:
    """What lies at a dotted name; None where nothing does."""
    for key in name.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def machine(report: Mapping[str, Any]) -> str:
    """What a report's latencies were measured on, for people: the board, or the CPU and the GPUs."""
    facts = report["environment"]
    gpus = [gpu["name"] for gpu in facts["gpus"]]
    return " + ".join([facts["cpu"]["board"] or facts["cpu"]["model"] or "unknown machine", *gpus])


def identity(report: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal for two reports to have been measured on machines of one kind."""
    facts = report["environment"]
    cpu = facts["cpu"]
    return {
        "CPU": cpu["model"],
        "board": cpu["board"],
        "usable cores": cpu["usable_cores"],
        "GPUs": [gpu["name"] for gpu in facts["gpus"]],
        "power mode": (facts.get("jetson") or {}).get("power_mode"),
    }
