"""Running stages: one lock per key, a work folder, the stage's function, publication by rename."""

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.errors import StoreError
from pipeline.facts import environment
from pipeline.fingerprint import first_party
from pipeline.graph import STAGES, closure
from pipeline.identity import machine_settings
from pipeline.imports import check_covered, recorded
from pipeline.plan import MADE, SETTLED, SOURCES, Planner, Selection, State, Status, input_folders
from pipeline.progress import progress
from pipeline.stage import Context, Outputs
from pipeline.store import Artifact

LOG = "log.txt"
KIB_PER_MIB = 1024


@dataclass(frozen=True)
class Row:
    """What became of one selected stage."""

    status: Status
    action: str
    """`ran`, the state in which it was left, or with --dry-run `would run`."""
    seconds: float = 0.0

    @property
    def failures(self) -> list[str]:
        """What the stage was asked for and could not publish."""
        return list(self.status.artifact.manifest.get("failures", ())) if self.status.artifact else []

    def to_json(self) -> dict[str, Any]:
        """The row of `run --json`."""
        summary = self.status.artifact.manifest["summary"] if self.status.artifact else {}
        return {
            **self.status.to_json(),
            "action": self.action,
            "seconds": round(self.seconds, 2),
            "summary": summary,
            "failures": self.failures,
        }


def run(planner: Planner, selection: Selection, say: Callable[[str], None]) -> list[Row]:
    """Bring the selected stages up to date, in order; returns a row for each of them."""
    planner.check(selection.selected)
    wanted = closure(tuple(selection.selected), planner.needs)
    statuses: dict[str, Status] = {}
    rows = []
    try:
        for stage in STAGES:
            if stage.name not in wanted:
                continue
            status = planner.status(stage, statuses)
            if stage.name in selection.selected:
                row = settle(planner, status, statuses, stage.name in selection.forced, say)
                rows.append(row)
                status = row.status
            statuses[stage.name] = status
    finally:
        planner.save_caches()
    return rows


def dry_run(planner: Planner, selection: Selection) -> list[Row]:
    """What `run` would do, stage by stage, without doing it."""
    planner.check(selection.selected)
    statuses = planner.statuses()
    rows = []
    for name, status in statuses.items():
        if name in selection.selected:
            if status.error:
                raise status.error
            unmade = [n for n in status.needs if n not in selection.selected and statuses[n].state not in SETTLED]
            if unmade:
                raise waits_for(status)
            settled = status.state in SETTLED and name not in selection.forced
            rows.append(Row(status, str(status.state) if settled else "would run"))
    return rows


def waits_for(status: Status) -> StoreError:
    """The error of a stage whose inputs are not there and were not asked for."""
    return StoreError(f"stage {status.stage.name} {status.reasons[0]}: run without --from or --only to make that first")


def settle(
    planner: Planner,
    status: Status,
    upstream: Mapping[str, Status],
    forced: bool,
    say: Callable[[str], None],
) -> Row:
    """Make one stage current, if it is not."""
    if status.error:
        raise status.error
    if status.state is State.SKIPPED:
        return Row(status, "skipped")
    if status.state in MADE and not forced:
        assert status.artifact is not None
        planner.store.remember(planner.recipe.name, status.stage.name, status.artifact)
        return Row(status, str(status.state))
    if status.key is None:
        raise waits_for(status)
    began = time.perf_counter()
    artifact = locked_execute(planner, status, upstream, forced, say)
    planner.store.remember(planner.recipe.name, status.stage.name, artifact)
    made = replace(status, state=State.CURRENT, reasons=(), artifact=artifact)
    return Row(made, "ran", time.perf_counter() - began)


def locked_execute(
    planner: Planner,
    status: Status,
    upstream: Mapping[str, Status],
    forced: bool,
    say: Callable[[str], None],
) -> Artifact:
    """Execute under the key's lock; if another process made the artifact meanwhile, take that."""
    assert status.key is not None
    kind = status.stage.kind
    path = planner.store.home / "locks" / f"{kind}-{status.key}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{status.stage.name}: another process is making it; waiting")
        lock.acquire()
    try:
        made_meanwhile = None if forced else planner.store.current(kind, status.key)
        return made_meanwhile or execute(planner, status, input_folders(status, upstream), say)
    finally:
        lock.release()


def execute(planner: Planner, status: Status, inputs: Mapping[str, Path], say: Callable[[str], None]) -> Artifact:
    """Run the stage's function in a fresh work folder and publish what it wrote."""
    store, stage = planner.store, status.stage
    assert status.key is not None
    say(f"{stage.name}: {'; '.join(status.reasons) or 'forced'}")
    scratch = store.scratch(stage.kind, status.key)
    scratch.mkdir(parents=True, exist_ok=True)
    work = store.new_work_folder()
    began = time.perf_counter()
    try:
        with (work / LOG).open("w", encoding="utf-8") as log_file:

            def log(line: str) -> None:
                print(line, file=log_file, flush=True)
                say(f"{stage.name}: {line}")

            settings = machine_settings(planner.recipe.configs)
            ctx = Context(work, scratch, planner.facts["device"], settings, log, progress, store.home / "cache")
            with recorded(first_party(status.components["code"])) as imported:
                outputs = planner.modules[stage.name].run(ctx, inputs, status.config)
            check_covered(stage.name, imported, status.components["code"])
        if status.sources:
            (work / SOURCES).write_text(json.dumps(status.sources), encoding="utf-8")
        seconds = time.perf_counter() - began
        manifest = describe(planner, status, inputs, outputs, seconds)
        artifact = store.publish(work, manifest, {LOG, SOURCES, *outputs.volatile})
    finally:
        shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(scratch, ignore_errors=True)
    return artifact


def describe(
    planner: Planner,
    status: Status,
    inputs: Mapping[str, Path],
    outputs: Outputs,
    seconds: float,
) -> dict[str, Any]:
    """The manifest, less the files."""
    return {
        "stage": status.stage.name,
        "kind": status.stage.kind,
        "key": status.key,
        "recipe": planner.recipe.name,
        "components": dict(status.components),
        "inputs": {name: {"key": folder.parent.name, "digest": folder.name} for name, folder in inputs.items()},
        "summary": dict(outputs.summary),
        "failures": list(outputs.failures),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 2),
        "process_peak_mib": peak_mib(),
        "environment": environment(planner.facts),
    }


def peak_mib() -> int:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // KIB_PER_MIB if sys.platform == "linux" else peak // KIB_PER_MIB**2
