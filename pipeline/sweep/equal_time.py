"""Equal wall clock for every row of a group: measure each one's iterations shortly, then choose how many it gets."""

import shutil
from collections.abc import Mapping, Sequence

from pipeline.errors import RecipeError, TrainingError
from pipeline.graph import BY_NAME
from pipeline.identity.keys import machine_settings
from pipeline.plan import Planner, Selection, input_folders
from pipeline.progress import progress
from pipeline.run import run
from pipeline.stage import Context
from pipeline.sweep.cells import Cell, Row
from pipeline.sweep.history import read_history, seconds_per_iteration
from pipeline.sweep.running import Say, selection_of

STAGE = BY_NAME["distill"]
ITERATIONS = "distill.iterations"
WARMUP = 10
"""Iterations of a calibration that are not counted."""


def calibrate(cell: Cell, planner: Planner, iterations: int, say: Say) -> float:
    """Seconds per iteration of a cell's training, from a short one that is thrown away."""
    upstream = selection_of(planner, STAGE.name).selected - {STAGE.name}
    run(planner, Selection(upstream, frozenset()), say)
    statuses = planner.statuses()
    changes = {"iterations": iterations, "evaluate": (), "gap_images": 0}
    config = planner.recipe.configs[STAGE.name].model_copy(update=changes)
    settings = machine_settings(planner.recipe.configs)
    work = planner.store.new_work_folder()
    scratch = work / "scratch"
    scratch.mkdir()
    try:
        ctx = Context(work, scratch, planner.facts["device"], settings, lambda line: None, progress)
        planner.modules[STAGE.name].run(ctx, input_folders(statuses[STAGE.name], statuses), config)
        # Without the last row: the last iteration looks at the terms' gradients, which costs more than an iteration.
        seconds = seconds_per_iteration(read_history(work)[:-1], WARMUP)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if seconds is None or seconds <= 0:
        raise TrainingError(f"{iterations} iterations of {cell.row.name} took no measurable time: calibrate with more")
    say(f"sweep: {cell.row.name}: {seconds:.4g} s per iteration")
    return seconds


def chosen_iterations(
    seconds: Mapping[str, float], full: Mapping[str, int], compared_with: Mapping[Row, Row]
) -> dict[str, int]:
    """Iterations by row so that each takes as long as the slowest row of its group does with all of its own.

    `seconds` per iteration and `full`, the recipe's iterations, by the row's name.
    """
    budget: dict[Row, float] = {}
    for row, base in compared_with.items():
        budget[base] = max(budget.get(base, 0.0), seconds[row.name] * full[row.name])
    return {row.name: max(1, round(budget[base] / seconds[row.name])) for row, base in compared_with.items()}


def check_free(rows: Sequence[Row]) -> None:
    """RecipeError where an axis sets the iterations that equal time chooses."""
    for row in rows:
        if any(setting.partition("=")[0] == ITERATIONS for setting in row.settings):
            raise RecipeError(f"sweep: row {row.name} sets {ITERATIONS}, which --equal-time chooses: drop one of them")
