"""Running a sweep's cells in this process, one after the other; a cell that fails does not stop the others."""

import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.errors import PipelineError
from pipeline.facts import facts
from pipeline.plan import SETTLED, Planner, Selection, Status, select
from pipeline.run import run
from pipeline.store.store import Artifact, Store
from pipeline.sweep.cells import Cell

Say = Callable[[str], None]
Done = Callable[[str, str | None], None]
"""Called after each cell with its name and the error that ended it, or None."""


def planners_of(cells: Sequence[Cell], store: Store, device: str) -> dict[str, Planner]:
    """A planner for each cell by name."""
    known = facts(device)
    return {cell.name: Planner(cell.recipe, store, known) for cell in cells}


def selection_of(planner: Planner, until: str) -> Selection:
    """Every stage that a cell goes through."""
    return select(planner.needs, until, None, None, None)


def run_here(cells: Sequence[Cell], planners: Mapping[str, Planner], until: str, say: Say, done: Done) -> None:
    """Bring every cell up to date."""
    failed: dict[str, str] = {}
    for number, cell in enumerate(cells, 1):
        say(f"sweep: cell {number} of {len(cells)}: {cell.name}")
        planner = planners[cell.name]
        error = run_cell(planner, selection_of(planner, until), cell.name, failed, say)
        done(cell.name, error)


def run_shared(cells: Sequence[Cell], planners: Mapping[str, Planner], until: str, say: Say) -> dict[str, str]:
    """Bring what several cells share up to date, here; the cells whose shared part failed, with the error."""
    signatures = {
        cell.name: {stage: signature(planners[cell.name], stage) for stage in selected}
        for cell in cells
        for selected in [selection_of(planners[cell.name], until).selected]
    }
    counts = Counter(text for stages in signatures.values() for text in stages.values())
    failed: dict[str, str] = {}
    errors = {}
    for name, stages in signatures.items():
        shared = frozenset(stage for stage, text in stages.items() if counts[text] > 1)
        errors[name] = run_cell(planners[name], Selection(shared, frozenset()), name, failed, say)
    return {name: error for name, error in errors.items() if error}


def run_cell(planner: Planner, selection: Selection, cell: str, failed: dict[str, str], say: Say) -> str | None:
    """Bring the selected stages of a cell up to date; the error that ended it, or None.

    `failed` holds what ended stages of earlier cells by their keys: what they share is not tried twice.
    """
    planned = unsettled(planner, selection)
    known = next((failed[status.key] for status in planned if status.key in failed), None)
    if known:
        return known
    error = attempt(planner, selection, say)
    if error:
        first = next(iter(unsettled(planner, selection)), None)
        if first and first.key:
            failed[first.key] = f"{first.stage.name} failed in cell {cell}: {error}"
    return error


def attempt(planner: Planner, selection: Selection, say: Say) -> str | None:
    """Run the selection; what went wrong in one line, or None."""
    try:
        run(planner, selection, say)
    except PipelineError as error:
        return str(error)
    except Exception as error:
        # A fault of the code or of the machine (out of memory) must not end the cells that could still run.
        say(traceback.format_exc())
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None


def unsettled(planner: Planner, selection: Selection) -> list[Status]:
    """The selected stages that are neither current nor skipped, in order."""
    statuses = planner.statuses()
    return [s for name, s in statuses.items() if name in selection.selected and s.state not in SETTLED]


def artifacts_of(planner: Planner, until: str) -> dict[str, Artifact]:
    """The current artifacts of a cell's stages by stage, in order."""
    selected = selection_of(planner, until).selected
    return {name: s.artifact for name, s in planner.statuses().items() if name in selected and s.artifact}


def plan_rows(cells: Sequence[Cell], planners: Mapping[str, Planner], until: str) -> list[dict[str, Any]]:
    """What each cell would do, stage by stage: its state, `run`, or `as CELL` where an earlier cell runs the same."""
    runs: dict[str, str] = {}
    rows = []
    for cell in cells:
        planner = planners[cell.name]
        selection = selection_of(planner, until)
        planner.check(selection.selected)
        actions = {}
        for name, status in planner.statuses().items():
            if name in selection.selected:
                if status.error:
                    raise status.error
                first = runs.setdefault(signature(planner, name), cell.name)
                action = "run" if first == cell.name else f"as {first}"
                actions[name] = str(status.state) if status.state in SETTLED else action
        rows.append({"cell": cell.name, "stages": actions})
    return rows


def signature(planner: Planner, name: str) -> str:
    """Text that two cells share exactly where they run the same stage on the same inputs."""
    below = sorted(signature(planner, upstream) for upstream in planner.needs[name])
    return f"{name}({planner.recipe.configs[name].model_dump_json()}, {below})"
