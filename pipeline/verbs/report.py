"""`report`: what the last benchmark found, what to ship under a budget, what changed, boards folded in."""

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from pipeline.errors import StoreError
from pipeline.references import resolve
from pipeline.verbs.options import planner_of, print_json, say, with_recipe

READING, BUDGET, COMPARE, ADDED = (
    "bench.report.reading",
    "bench.report.budget",
    "bench.report.compare",
    "bench.report.added",
)
FILE = "report.json"
POINTS, PUBLISH = "bench.report.points", "bench.report.publish"


@click.command(name="report", short_help="A report in one sentence; budgets, comparisons.")
@click.argument("report", required=False, metavar="[REPORT]")
@click.option(
    "--budget", multiple=True, metavar="NAME=LIMIT", help="Best student under e.g. latency_ms=10; repeatable."
)
@click.option("--compare", metavar="OTHER", help="What changed since this report: a file, a folder or a reference.")
@click.option(
    "--add",
    "added",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Fold a board's report.json, or another network's, into a new report in --out; repeatable.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write report.json, .md and .html there.")
@with_recipe
def command(
    report: str | None,
    budget: tuple[str, ...],
    compare: str | None,
    added: tuple[Path, ...],
    out: Path | None,
    recipe: str,
    settings: tuple[str, ...],
    home: Path,
    as_json: bool,
) -> None:
    """REPORT (a file, a folder or a reference; left out: the recipe's own) in one sentence, and where it lies.

    --budget names the best exported student within limits on latency_ms (median), p90_ms, miou (at least, in percent),
    params_m, peak_mib or energy_j. --compare OLD NEW shows what changed from OLD to NEW.
    """
    if added and out is None:
        raise StoreError("--add writes a new report: say where with --out FOLDER")
    where = (recipe, settings, home)
    path = located(report or "bench", *where)
    found = import_module(ADDED).fold(import_module(READING).read_report(path), added)
    if added or budget:
        for line in import_module(ADDED).set_apart(found):
            say(f"warning: {line}")
    document: dict[str, Any] = {"report": str(path), "summary": import_module(POINTS).headline(found)}
    lines = [document["summary"], f"report: {path}"]
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        document["written"] = [str(file) for file in import_module(PUBLISH).write_report(found, out)]
        lines += [f"written: {', '.join(document['written'])}"]
    if budget:
        document["budget"], text = budgeted(found, budget)
        lines.append(text)
    if compare:
        other = located(compare, *where)
        document["comparison"], text = compared(other, found, (compare, report or "the current report"))
        lines += ["", text]
    if as_json:
        print_json(document)
    else:
        click.echo("\n".join(lines))


def located(name: str, recipe: str, settings: tuple[str, ...], home: Path) -> Path:
    """The report that a path or a reference names: a file, or the folder of an artifact.

    A folder without a report is no path to one: a stage may have the name of a folder at hand.
    """
    path = Path(name)
    if path.is_file() or (path / FILE).is_file():
        return path
    if path.suffix == ".json":
        raise StoreError(f"no file {path}: name a report.json, its folder, or a reference such as bench@PREFIX")
    return resolve(name, planner_of(recipe, settings, home)).folder


def budgeted(report: dict[str, Any], budget: tuple[str, ...]) -> tuple[dict[str, Any], str]:
    """The choice under a budget as data and as text."""
    module = import_module(BUDGET)
    limits = module.parse_budget(budget)
    answers = module.choose(import_module(POINTS).points(report), limits)
    return {"limits": limits, "machines": answers}, module.budget_text(limits, answers)


def compared(other: Path, report: dict[str, Any], names: tuple[str, str]) -> tuple[dict[str, Any], str]:
    """What changed from another report to this one, as data and as text."""
    module = import_module(COMPARE)
    changed = module.compare(import_module(READING).read_report(other), report)
    return changed, module.compare_text(changed, names)
