"""A gate against regressions: the current report's latencies held to those of another.

    python -m bench.check --against last-release/report.json --max-slowdown 1.1
    python -m bench.check report.json --against old/report.json

Exit code 1 where the lower end of a slowdown's interval lies above the limit: noise alone does not fail, and a row
whose interval only reaches beyond the limit is called unclear. 2 for a user's mistake, also where the reports come from
different machines or have no row in common.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bench.program import program
from bench.report.points import Report
from bench.report.reading import identity, machine, read_report
from bench.report.slowdown import Slowdown, slowdowns
from pipeline.errors import StoreError
from pipeline.verbs.options import home_option, json_option, planner_of, recipe_option, say, set_option

NAMED = 3
"""Rows that a refusal names."""


def judge(now: Report, against: Report, max_slowdown: float, allow_other_machine: bool = False) -> dict[str, Any]:
    """Every slowdown with whether it passes the limit; StoreError where the two cannot be compared."""
    if identity(now) != identity(against) and not allow_other_machine:
        raise StoreError(
            f"measured on {describe(now)}, the other report on {describe(against)}: latencies of two machines are no "
            "regression; measure both here, or say --allow-other-machine"
        )
    found, apart = slowdowns(now, against)
    if not found:
        more = f"; {len(apart) - NAMED} more" if len(apart) > NAMED else ""
        why = "; ".join(apart[:NAMED]) + more or "neither has rows"
        raise StoreError(f"no row was measured alike in both reports: {why}")
    rows = [{**asdict(one), "verdict": verdict(one, max_slowdown)} for one in found]
    passed = not any(row["verdict"] == "slower" for row in rows)
    return {"passed": passed, "max_slowdown": max_slowdown, "rows": rows, "not_compared": apart}


def verdict(one: Slowdown, max_slowdown: float) -> str:
    """`slower` than allowed beyond doubt; `unclear` where the samples scatter too much to rule it out; else `ok`."""
    if one.low > max_slowdown:
        return "slower"
    return "unclear" if one.high > max_slowdown else "ok"


def describe(report: Report) -> str:
    """A machine with what may tell it from another of its name."""
    facts = identity(report)
    mode = f", power mode {facts['power mode']['name']}" if facts["power mode"] else ""
    return f"{machine(report)} ({facts['usable cores']} cores{mode})"


def text(result: Mapping[str, Any]) -> list[str]:
    """A line for each row, then the verdict."""
    lines = [
        f"{row['verdict']:<7} {row['name']}: {row['then_ms']:.3f} -> {row['now_ms']:.3f} ms, "
        f"x{row['ratio']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        for row in result["rows"]
    ]
    lines += [f"-       {why}" for why in result["not_compared"]]
    slow = [row["name"] for row in result["rows"] if row["verdict"] == "slower"]
    unclear = sum(row["verdict"] == "unclear" for row in result["rows"])
    closing = f"slower than x{result['max_slowdown']:g} allows: {', '.join(slow)}" if slow else "no regression shown"
    return [*lines, closing + (f"; {unclear} rows scatter too much to rule one out" if unclear else "")]


@click.command(name="check", short_help="Hold latencies to an earlier report.")
@click.argument("report", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--against", required=True, type=click.Path(path_type=Path, exists=True), help="The report to hold to.")
@click.option("--max-slowdown", type=click.FloatRange(min=1.0), default=1.1, show_default=True, help="Allowed factor.")
@click.option("--allow-other-machine", is_flag=True, help="Compare although the machines differ.")
@recipe_option
@set_option
@home_option
@json_option
def command(
    report: Path | None,
    against: Path,
    max_slowdown: float,
    allow_other_machine: bool,
    recipe: str,
    settings: tuple[str, ...],
    home: Path,
    as_json: bool,
) -> int:
    """Hold REPORT (left out: the recipe's current one) to another; exit code 1 where a row became too slow."""
    path = report or current(recipe, settings, home)
    result = {
        **judge(read_report(path), read_report(against), max_slowdown, allow_other_machine),
        "report": str(path),
        "against": str(against),
    }
    for line in [] if as_json else text(result):
        say(line)
    click.echo(json.dumps(result))
    return int(not result["passed"])


def current(recipe: str, settings: Sequence[str], home: Path) -> Path:
    """Folder of the recipe's last report."""
    from pipeline.references import resolve

    return resolve("bench", planner_of(recipe, tuple(settings), home)).folder


main = program(command)

if __name__ == "__main__":
    sys.exit(main())
