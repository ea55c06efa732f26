"""Running stages: one lock per key, a work folder, the stage's function, publication by rename."""

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.again import command_again
from pipeline.errors import StoreError
from pipeline.facts import environment
from pipeline.graph import STAGES, closure
from pipeline.group.lead import group_of, look_together, run_together
from pipeline.identity.fingerprint import first_party
from pipeline.identity.imports import check_covered, recorded
from pipeline.identity.keys import machine_settings
from pipeline.plan import MADE, SETTLED, SOURCES, Planner, Selection, State, Status, input_folders
from pipeline.progress import progress
from pipeline.stage import Context, Outputs
from pipeline.store import attempts
from pipeline.store.locks import held, lock_path
from pipeline.store.store import CURRENT, Artifact
from pipeline.store.workspace import dispose, put_aside, sweep

LOG = "log.txt"
KIB_PER_MIB = 1024
WOULD_RUN = "would run"


@dataclass(frozen=True)
class Row:
    """What became of one selected stage."""

    status: Status
    action: str
    """`ran`, `reused` (another process made it while this one waited), the state in which it was left, or with
    --dry-run `would run`."""
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
    look_together(planner.store.home, machine_settings(planner.recipe.configs))
    sweep(planner.store.home)
    wanted = closure(tuple(selection.selected), planner.needs)
    statuses: dict[str, Status] = {}
    rows = []
    try:
        for stage in STAGES:
            if stage.name not in wanted:
                continue
            status = planner.status(stage, statuses)
            refuse_corrupt(status, selection)
            if stage.name in selection.selected:
                if will_run(status, stage.name in selection.forced):
                    left = selection.selected - statuses.keys()
                    planner.rehearse(left)
                    planner.inspect(left, statuses)
                row = settle(planner, status, statuses, stage.name in selection.forced, say)
                rows.append(row)
                status = row.status
            statuses[stage.name] = status
    finally:
        planner.save_caches()
    return rows


def will_run(status: Status, forced: bool) -> bool:
    """Whether a stage is about to be made."""
    return status.error is None and status.key is not None and (forced or status.state not in SETTLED)


def dry_run(planner: Planner, selection: Selection) -> list[Row]:
    """What `run` would do, stage by stage, without doing it."""
    planner.check(selection.selected)
    wanted = closure(tuple(selection.selected), planner.needs)
    statuses = planner.statuses()
    rows = []
    for name, status in statuses.items():
        if name in wanted:
            refuse_corrupt(status, selection)
        if name in selection.selected:
            if status.error:
                raise status.error
            unmade = [n for n in status.needs if n not in selection.selected and statuses[n].state not in SETTLED]
            if unmade:
                raise waits_for(status)
            settled = status.state in SETTLED and name not in selection.forced
            rows.append(Row(status, str(status.state) if settled else WOULD_RUN))
    return rows


def refuse_corrupt(status: Status, selection: Selection) -> None:
    """StoreError where a stage's artifact is corrupt and the command does not replace it: nothing is built on that."""
    name = status.stage.name
    if status.state is not State.CORRUPT or name in selection.forced:
        return
    error = StoreError(f"{name} is corrupt, nothing was run: {'; '.join(status.reasons)}")
    error.add_note(f"next: {command_again('--force', name)}")
    raise error


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
        attempts.clear_spent(planner.store, status.stage.kind, status.artifact.key)
        return Row(status, str(status.state))
    if status.key is None:
        raise waits_for(status)
    began = time.perf_counter()
    try:
        artifact, action = locked_execute(planner, status, upstream, forced, say)
        planner.store.remember(planner.recipe.name, status.stage.name, artifact)
    except BaseException as error:
        error.add_note(f"next: {command_again()}")
        raise
    made = replace(status, state=State.CURRENT, reasons=(), artifact=artifact, broken=None)
    return Row(made, action, time.perf_counter() - began)


def locked_execute(
    planner: Planner,
    status: Status,
    upstream: Mapping[str, Status],
    forced: bool,
    say: Callable[[str], None],
) -> tuple[Artifact, str]:
    """Execute under the key's lock, or take what another process made meanwhile; returns which of the two it was."""
    store, name = planner.store, status.stage.name
    assert status.key is not None
    lock = lock_path(store.home, status.stage.kind, status.key)
    with held(lock, lambda holder: say(f"{name}: waits for {holder}, which is making it")) as waited:
        made_meanwhile = None if forced else store.intact(status.stage.kind, status.key)
        if made_meanwhile:
            say(f"{name}: made by another process meanwhile")
            return made_meanwhile, "reused" if waited else "current"
        sweep(store.home, lock)
        return execute(planner, status, input_folders(status, upstream), lock, say), "ran"


def execute(
    planner: Planner, status: Status, inputs: Mapping[str, Path], lock: Path, say: Callable[[str], None]
) -> Artifact:
    """Run the stage's function in a fresh work folder and publish what it wrote."""
    store, stage = planner.store, status.stage
    assert status.key is not None
    say(f"{stage.name}: {'; '.join(status.reasons) or 'forced'}")
    scratch = store.scratch(stage.kind, status.key)
    if attempts.is_spent(scratch, store.root / stage.kind / status.key / CURRENT):
        dispose(store.home, scratch, lock)
    began = time.perf_counter()
    with attempts.attempt(store, scratch, lock, last_bytes(planner, status)) as work:
        with (work / LOG).open("w", encoding="utf-8") as log_file:

            def log(line: str) -> None:
                print(line, file=log_file, flush=True)
                # What a training logs begins with what is trained, which may be called as its stage.
                say(line if line.startswith(f"{stage.name}: ") else f"{stage.name}: {line}")

            settings = machine_settings(planner.recipe.configs)
            device, module = planner.facts["device"], planner.modules[stage.name]
            ctx = Context(work, scratch, device, settings, log, progress, store.home / "cache", group_of(module))
            with recorded(first_party(status.components["code"])) as imported:
                outputs = run_together(stage.name, module, ctx, inputs, status.config)
            check_covered(stage.name, imported, status.components["code"])
        if status.source_files:
            sources = planner.source_cache.digests(status.source_files)
            (work / SOURCES).write_text(json.dumps(sources), encoding="utf-8")
        seconds = time.perf_counter() - began
        manifest = describe(planner, status, inputs, outputs, seconds)
        artifact = store.publish(work, manifest, {LOG, SOURCES, *outputs.volatile})
    dispose(store.home, scratch, lock)
    if status.broken and status.broken != artifact.folder and status.broken.is_dir():
        put_aside(store.home, status.broken)
    return artifact


def last_bytes(planner: Planner, status: Status) -> int:
    """Size of the artifact that this recipe had last of a stage; 0 where it had none."""
    last = planner.store.last(planner.recipe.name, status.stage.name)
    return sum(file["bytes"] for file in last.manifest["files"].values()) if last else 0


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
        "processes": group_of(planner.modules[status.stage.name]).world,
        "environment": environment(planner.facts),
    }


def peak_mib() -> int:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // KIB_PER_MIB if sys.platform == "linux" else peak // KIB_PER_MIB**2
