"""Text from data: tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.plan import Status
    from pipeline.remote.transfer import Transfer
    from pipeline.run import Row


def status_table(statuses: Sequence[Status]) -> str:
    """State of each stage with its key, digest and reasons."""
    rows = [
        (s.stage.name, str(s.state), (s.key or "-")[:12], (s.digest or "-")[:12], "; ".join(s.reasons))
        for s in statuses
    ]
    return table(("stage", "state", "key", "digest", "reasons"), rows)


def run_table(rows: Sequence[Row]) -> str:
    """What became of each selected stage."""
    cells = [
        (
            row.status.stage.name,
            row.action,
            f"{row.seconds:.1f} s" if row.action == "ran" else "-",
            (row.status.digest or "-")[:12],
            summary_text(row) or "; ".join(row.status.reasons),
        )
        for row in rows
    ]
    return table(("stage", "action", "time", "digest", ""), cells)


def transfer_table(rows: Sequence[Transfer]) -> str:
    """What `push` or `pull` did with each artifact."""
    cells = [(row.reference, row.action, f"{row.bytes:,}", f"{row.seconds:.1f} s", row.note) for row in rows]
    return table(("artifact", "action", "bytes", "time", ""), cells)


def summary_text(row: Row) -> str:
    """The few figures that a stage gave of its artifact."""
    if row.status.artifact is None:
        return ""
    summary = row.status.artifact.manifest["summary"]
    return ", ".join(f"{name} {figure(value)}" for name, value in summary.items())


def figure(value: Any) -> str:
    """A number with four digits at most; anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (head, *rows))
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def graph_text(needs: Mapping[str, Sequence[str]]) -> str:
    """One line a stage with what it reads."""
    return table(("stage", "reads"), [(name, ", ".join(upstream) or "-") for name, upstream in needs.items()])


def show_text(manifest: Mapping[str, Any], folder: str) -> str:
    """An artifact's summary and files."""
    lines = [f"{manifest['stage']}  {folder}", f"made {manifest['created']} in {manifest['seconds']} s"]
    lines += [f"  {name}: {figure(value)}" for name, value in manifest["summary"].items()]
    rows = [(name, f"{f['bytes']:,}", f["sha256"][:12]) for name, f in manifest["files"].items()]
    return "\n".join([*lines, "", table(("file", "bytes", "sha256"), rows)])
