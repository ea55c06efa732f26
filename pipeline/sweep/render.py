"""A sweep's table as text for a terminal and as Markdown."""

from collections.abc import Sequence

from pipeline.render import figure, table
from pipeline.sweep.results import Line, Spread, Table

PLUS_MINUS = "±"


def head(results: Table) -> tuple[str, ...]:
    """Titles of the columns."""
    metric = f"{results.split or 'no'} mIoU %"
    return ("row", "n", metric, "seeds", "difference", "iterations", "s/iteration", "training s", "parameters", "terms")


def cells(line: Line) -> tuple[str, ...]:
    """One row of the table as text."""
    difference = f"{points(line.difference, '+')} (n {line.difference.n})" if line.difference else "-"
    return (
        line.row,
        str(len(line.values)),
        points(line.miou),
        " ".join(f"{100 * value:.2f}" for value in line.values.values()) or "-",
        f"{difference} to {line.compared_with}" if line.difference else difference,
        str(line.iterations or "-"),
        "-" if line.seconds_per_iteration is None else figure(line.seconds_per_iteration),
        "-" if line.training_seconds is None else f"{line.training_seconds:.1f}",
        "-" if line.parameters is None else f"{line.parameters:,}",
        ", ".join(f"{term} {share:.1%}" for term, share in line.term_shares.items()) or "-",
    )


def points(spread: Spread | None, sign: str = "") -> str:
    """`71.49 ± 0.35`, in percentage points."""
    if spread is None:
        return "-"
    text = f"{100 * spread.mean:{sign}.2f}"
    return text if spread.sd is None else f"{text} {PLUS_MINUS} {100 * spread.sd:.2f}"


def failures(results: Table) -> list[str]:
    """One line for each cell that failed."""
    return [f"failed: {record.cell}: {record.error}" for record in results.failed]


def text(results: Table) -> str:
    """The table for a terminal, what failed below it."""
    return "\n".join([table(head(results), [cells(line) for line in results.lines]), *failures(results)])


def markdown(results: Table, title: str, notes: Sequence[str]) -> str:
    """results.md."""
    rows = [head(results), ("---",) * len(head(results)), *(cells(line) for line in results.lines)]
    body = ["| " + " | ".join(row) + " |" for row in rows]
    explained = (
        f"mIoU: mean {PLUS_MINUS} sample standard deviation over n seeds; difference: paired by seed. Parameters: of "
        "the student that ships. Terms: part of an iteration that each loss term takes, forward and backward."
    )
    return "\n".join([f"# {title}", "", *body, "", explained, "", *notes, *failures(results)]).rstrip() + "\n"
