"""Text from data: tables for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.doctor.finding import Finding
    from pipeline.estimate import Estimate, Last
    from pipeline.plan import Status
    from pipeline.remote.transfer import Transfer
    from pipeline.run import Row
    from pipeline.store.verify import Verdict

MIB = 1 << 20
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def status_table(statuses: Sequence[Status]) -> str:
    """State of each stage with its key, digest and reasons."""
    rows = [
        (s.stage.name, str(s.state), (s.key or "-")[:12], (s.digest or "-")[:12], "; ".join(s.reasons))
        for s in statuses
    ]
    return table(("stage", "state", "key", "digest", "reasons"), rows)


def check_text(open_stages: Sequence[Status]) -> str:
    """One line for each stage that is not settled."""
    lines = [f"{s.stage.name} is {s.state}: {'; '.join(s.reasons)}" for s in open_stages]
    return "\n".join(lines) or "every stage is current, skipped or not needed"


def run_table(rows: Sequence[Row]) -> str:
    """What became of each selected stage."""
    cells = [
        (
            row.status.stage.name,
            row.action,
            f"{row.seconds:.1f} s" if row.action == "ran" else "-",
            (row.status.digest or "-")[:12],
            made_text(row) or "; ".join(row.status.reasons),
        )
        for row in rows
    ]
    return table(("stage", "action", "time", "digest", ""), cells)


def plan_table(
    rows: Sequence[Row], estimates: Mapping[str, Estimate], last: Mapping[str, Last | None], recipe: str
) -> str:
    """What would be done, what it would cost here and what it cost the last time, the sums, and what is not known."""
    cells = [
        (
            row.status.stage.name,
            row.action,
            *expected(estimates.get(row.status.stage.name)),
            *cost(row.status.stage.name, last, recipe),
            "; ".join(row.status.reasons),
        )
        for row in rows
    ]
    head = ("stage", "action", "time", "memory", "disk", "last time", "last size", "reasons")
    return "\n".join([table(head, cells), *totals(estimates, last)])


def totals(estimates: Mapping[str, Estimate], last: Mapping[str, Last | None]) -> Iterator[str]:
    """The sums under a plan, and why what is missing in them is not known."""
    if not last:
        yield "nothing would run"
        return
    told = [each for each in estimates.values() if not each.why]
    if told:
        seconds, count = sum(each.seconds or 0 for each in told), sum(each.bytes or 0 for each in told)
        scratch = max(each.scratch_bytes for each in told)
        peak = max(each.peak_mib or 0 for each in told)
        yield (
            f"in all about {duration(seconds)}, at most {size(peak * MIB)} of memory, {size(count)} of disk"
            + (f" and for a while {size(scratch)} for checkpoints" if scratch else "")
        )
    made = [each for each in last.values() if each]
    if made:
        seconds, count = sum(each.seconds for each in made), sum(each.bytes for each in made)
        yield f"the last time {duration(seconds)} and {size(count)}"
    for name, each in estimates.items():
        if each.why:
            yield f"{name}: not estimated: {each.why}"


def expected(estimate: Estimate | None) -> tuple[str, str, str]:
    """Time, memory and disk; dashes for a stage that would not run, and for what is not known."""
    if estimate is None or estimate.why:
        return "-", "-", "-"
    known = (estimate.seconds, duration), (estimate.peak_mib, lambda mib: size(mib * MIB)), (estimate.bytes, size)
    time, memory, disk = (f"~{text(value)}" if value is not None else "-" for value, text in known)
    return time, memory, disk


def cost(stage: str, last: Mapping[str, Last | None], recipe: str) -> tuple[str, str]:
    """Time and size of what was made the last time; dashes for a stage that would not run or was never made."""
    made = last.get(stage)
    if made is None:
        return "-", "-"
    other = f" ({made.recipe})" if made.recipe != recipe else ""
    return f"{duration(made.seconds)}{other}", f"{size(made.bytes)}{other}"


def transfer_table(rows: Sequence[Transfer]) -> str:
    """What `push` or `pull` did with each artifact."""
    cells = [(row.reference, row.action, f"{row.bytes:,}", f"{row.seconds:.1f} s", row.note) for row in rows]
    return table(("artifact", "action", "bytes", "time", ""), cells)


def made_text(row: Row) -> str:
    """The few figures that a stage gave of its artifact; empty where there is none."""
    return ", ".join(quoted(row.status.artifact.manifest["summary"])) if row.status.artifact else ""


def quoted(summary: Mapping[str, Any]) -> Iterator[str]:
    """Each figure of an artifact with its name, `test mIoU 71.59 %`; a share by its name is given in percent."""
    for name, value in summary.items():
        is_share = name.endswith("mIoU") and isinstance(value, float)
        yield f"{name} {100 * value:.2f} %" if is_share else f"{name} {figure(value)}"


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
    made = f"made {moment(manifest['created'])} in {duration(manifest['seconds'])}"
    lines = [f"{manifest['stage']}  {folder}", made, *(f"  {each}" for each in quoted(manifest["summary"]))]
    rows = [(name, f"{f['bytes']:,}", f["sha256"][:12]) for name, f in manifest["files"].items()]
    return "\n".join([*lines, "", table(("file", "bytes", "sha256"), rows)])


def doctor_text(findings: Sequence[Finding]) -> str:
    """One line for each finding, its advice behind it."""
    rows = [(f.level, f.check, f"{f.found}{' -> ' if f.advice else ''}{f.advice}") for f in findings]
    counts = ", ".join(f"{n} {level}" for level, n in Counter(str(f.level) for f in findings).items())
    return "\n".join([table(("", "check", "found -> what to do"), rows), "", counts])


def size(count: float) -> str:
    """Bytes as `512 B`, `3.1 MiB`."""
    for unit in UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {UNITS[-1]}"


def duration(seconds: float) -> str:
    """`5.3 s`, `12 min 40 s`, `3 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def moment(created: str) -> str:
    """An ISO time with its zone to the minute, in UTC: `2026-01-31 11:00Z`."""
    return datetime.fromisoformat(created).astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")


def verify_text(verdicts: Sequence[Verdict]) -> str:
    """What was found of each artifact; under it every faulty file and how to restore it."""
    rows = [(v.reference, f"{v.files}", f"{v.bytes:,}", "corrupt" if v.faults else "ok") for v in verdicts]
    lines = [table(("artifact", "files", "bytes", ""), rows)]
    for verdict in verdicts:
        if verdict.faults:
            lines += ["", str(verdict.folder), *(f"  {fault.text()}" for fault in verdict.faults)]
            lines += [f"  {verdict.restore}"]
    return "\n".join(lines)
