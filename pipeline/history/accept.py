"""Declaring an artifact still good after a refactor: the same files under the key of today's code."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.plan import Planner, State, Status
from pipeline.store.manifest import MANIFEST
from pipeline.store.store import Artifact
from pipeline.store.verify import check, told

ACCEPTABLE = ("code", "stage", "schema")
"""Components whose change may leave the result as it was; any other says that the result is another one."""


def accept(planner: Planner, status: Status, reason: str) -> Artifact:
    """Publish the stage's last artifact under today's key, with the reason in its manifest.

    StoreError where the stage is not stale, or stale for more than its code.
    """
    if not reason.strip():
        raise StoreError("give a reason: it is all that later readers will know")
    refuse_unless_stale(status)
    last, key = status.last, status.key
    assert last is not None and key is not None
    wrong = [change for change in status.changes if change.component not in ACCEPTABLE]
    if wrong:
        raise StoreError(
            f"{status.stage.name}: {wrong[0].text()}: only a change of code can be accepted, this one changes "
            f"what is made: run the stage"
        )
    faults = check(planner.store.home, last.folder, rehash=True)
    if faults:
        raise StoreError(f"{last.folder} is corrupt: {told(faults)}: see python -m pipeline verify --all")
    work = planner.store.new_work_folder()
    link_files(last, work)
    record = {
        "from_key": last.key,
        "reason": reason,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "changes": [change.text() for change in status.changes],
    }
    manifest = {**last.manifest, "key": key, "components": dict(status.components), "accepted": record}
    volatile = {name for name, file in last.manifest["files"].items() if file["volatile"]}
    made = planner.store.publish(work, manifest, volatile)
    planner.store.remember(planner.recipe.name, status.stage.name, made)
    return made


def refuse_unless_stale(status: Status) -> None:
    """StoreError that says why there is nothing to accept."""
    if status.error:
        raise status.error
    if status.state is State.STALE and status.key is None:
        raise StoreError(f"{status.stage.name} {status.reasons[0]}: accept or run that first")
    if status.state is not State.STALE or status.key is None:
        why = "; ".join(status.reasons) or "nothing changed"
        raise StoreError(f"{status.stage.name} is {status.state}, not stale: {why}; there is nothing to accept")


def link_files(artifact: Artifact, work: Path) -> None:
    """The artifact's files in another folder of the same store: hard links, copies where the disk has none."""
    link: Callable[[Path, Path], object] = os.link
    for name in artifact.manifest["files"]:
        target = work / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            link(artifact.folder / name, target)
        except OSError:
            link = shutil.copyfile
            link(artifact.folder / name, target)
    assert not (work / MANIFEST).exists()
