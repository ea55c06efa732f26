"""A whole sweep, from its definition to its table: check every cell, measure, run, note each result as it comes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline import recipe as recipes
from pipeline.store.store import Store
from pipeline.sweep.cells import Cell, Row, cells_of, definition_identity, groups, rows_of
from pipeline.sweep.definition import Definition
from pipeline.sweep.equal_time import ITERATIONS, STAGE, calibrate, check_free, chosen_iterations
from pipeline.sweep.folder import SweepFolder
from pipeline.sweep.ray_cells import Job, run_on_ray
from pipeline.sweep.results import Record, Table, record_of, table_of
from pipeline.sweep.running import Done, Say, artifacts_of, plan_rows, planners_of, run_here, run_shared, selection_of

Measured = Mapping[str, Mapping[str, Any]]
"""By row: `settings`, `recipe_iterations`, `seconds_per_iteration`, and `iterations`, which were chosen from them."""


class Sweep:
    """A checked definition with its rows, cells and folder; RecipeError for every mistake in it."""

    def __init__(self, definition: Definition, name: str, store: Store, device: str) -> None:
        self.definition = definition
        self.device = device
        self.folder = SweepFolder(store, name)
        self.compared_with = groups(definition, rows_of(definition))
        self.identity = definition_identity(definition)
        self.folder.check_same(self.identity)
        self.measured: Measured = {}
        self.plan_cells()
        if definition.equal_time:
            check_free(list(self.compared_with))
            self.known: Measured = self.folder.read().get("equal_time", {})
            if {row: asked(each) for row, each in self.known.items()} == self.asked():
                self.measured = self.known
                self.plan_cells()

    def plan_cells(self) -> None:
        """The cells and their planners, with the iterations that were chosen."""
        chosen = {row: (f"{ITERATIONS}={each['iterations']}",) for row, each in self.measured.items()}
        self.cells = cells_of(self.definition, self.folder.name, chosen)
        self.planners = planners_of(self.cells, self.folder.store, self.device)
        for planner in self.planners.values():
            planner.check(selection_of(planner, self.definition.until).selected)

    def asked(self) -> dict[str, dict[str, Any]]:
        """What each row's measurement is made for."""
        return {
            cell.row.name: {
                "settings": list(cell.row.settings),
                "recipe_iterations": cell.recipe.configs[STAGE.name].model_dump()["iterations"],
            }
            for cell in self.cells
        }

    def measure(self, say: Say) -> None:
        """Choose each row's iterations; a measurement of a row with the same settings is kept."""
        if self.measured:
            return
        made_for = self.asked()
        first = {cell.row: cell for cell in reversed(self.cells)}
        seconds = {row.name: self.seconds_of(row, first[row], say) for row in self.compared_with}
        full = {row: each["recipe_iterations"] for row, each in made_for.items()}
        chosen = chosen_iterations(seconds, full, self.compared_with)
        self.measured = {
            row: {**each, "seconds_per_iteration": seconds[row], "iterations": chosen[row]}
            for row, each in made_for.items()
        }
        self.plan_cells()

    def seconds_of(self, row: Row, cell: Cell, say: Say) -> float:
        """Seconds per iteration of a row, measured now unless they are known."""
        known = self.known.get(row.name)
        if known and known["settings"] == list(row.settings):
            return float(known["seconds_per_iteration"])
        return calibrate(cell, self.planners[cell.name], self.definition.calibration_iterations, say)

    def save(self) -> None:
        """Write sweep.json and forget cells that are no longer part of the sweep."""
        cells = {cell.name: list(cell.settings) for cell in self.cells}
        values = {"identity": self.identity, "definition": self.definition.model_dump(mode="json"), "cells": cells}
        self.folder.write({**values, "equal_time": self.measured} if self.measured else values)
        self.folder.keep_only(cells)

    def notes(self) -> list[str]:
        """What results.md says below its table."""
        if not self.measured:
            return []
        measured = ", ".join(f"{row} {each['seconds_per_iteration']:.4g}" for row, each in self.measured.items())
        return [
            "Equal wall clock: every row has as many iterations as fit into the time of the slowest row that it is "
            f"compared with. Seconds per iteration, from {self.definition.calibration_iterations} iterations of each: "
            f"{measured}.",
            "",
        ]


def asked(measured: Mapping[str, Any]) -> dict[str, Any]:
    """What a measurement that sweep.json holds was made for."""
    return {name: measured.get(name) for name in ("settings", "recipe_iterations")}


def plan_sweep(sweep: Sweep) -> list[dict[str, Any]]:
    """What each cell would do."""
    return plan_rows(sweep.cells, sweep.planners, sweep.definition.until)


@dataclass(frozen=True)
class Cluster:
    """Where a sweep runs as Ray tasks."""

    address: str
    """`any`, or that of a cluster."""
    cpus: int
    """Cores of each cell."""


def run_sweep(sweep: Sweep, cluster: Cluster | None, say: Say) -> Table:
    """Run every cell, here or on a cluster; the table, which the sweep's folder holds as well."""
    if sweep.definition.equal_time:
        sweep.measure(say)
    sweep.save()
    by_name = {cell.name: cell for cell in sweep.cells}
    records: dict[str, Record] = {}

    def done(name: str, error: str | None) -> None:
        artifacts = artifacts_of(sweep.planners[name], sweep.definition.until)
        if STAGE.name in artifacts:
            sweep.folder.point(name, list(artifacts.values())[-1])
        records[name] = record_of(by_name[name], artifacts, error)
        if error:
            say(f"sweep: cell {name} failed: {error}")
        sweep.folder.write_results(table(sweep, records), sweep.notes())

    if cluster is None:
        run_here(sweep.cells, sweep.planners, sweep.definition.until, say, done)
    else:
        run_there(sweep, cluster, say, done)
    results = table(sweep, records)
    sweep.folder.draw(results)
    return results


def run_there(sweep: Sweep, cluster: Cluster, say: Say, done: Done) -> None:
    """What cells share here, then each cell as a task."""
    errors = run_shared(sweep.cells, sweep.planners, sweep.definition.until, say)
    for name, error in errors.items():
        done(name, error)
    jobs = [job_of(sweep, cell) for cell in sweep.cells if cell.name not in errors]
    run_on_ray(jobs, cluster.address, cluster.cpus, done)


def job_of(sweep: Sweep, cell: Cell) -> Job:
    """A cell as a task needs it."""
    return Job(
        cell=cell.name,
        recipe=str(recipes.find(sweep.definition.recipe, recipes.shipped(), "recipe").resolve()),
        name=cell.recipe.name,
        settings=cell.settings,
        until=sweep.definition.until,
        device=sweep.device,
        home=str(sweep.folder.store.home),
        proof=str(sweep.folder.path / "sweep.json"),
        key=sweep.planners[cell.name].statuses()[STAGE.name].key,
    )


def table(sweep: Sweep, records: Mapping[str, Record]) -> Table:
    """The table of the cells that are done, in the sweep's order."""
    there = [records[cell.name] for cell in sweep.cells if cell.name in records]
    return table_of(there, sweep.compared_with)
