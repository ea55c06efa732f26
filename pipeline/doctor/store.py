"""The store: its disk, what its file system can do, and whether what lies in it hangs together."""

import fcntl
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pipeline.doctor.finding import Finding, Level
from pipeline.errors import StoreError
from pipeline.estimate import Last, last_made
from pipeline.graph import FINAL, closure
from pipeline.plan import Planner
from pipeline.render import size
from pipeline.store.gc import Rules, work_items
from pipeline.store.inventory import Inventory, current_digest, held_locks, size_bytes, take_inventory
from pipeline.store.trash import trash_bytes

NAMED = 5
"""Broken things that one line names."""


def examine(planner: Planner) -> Iterator[Finding]:
    """File system, free disk, artifacts, pointers, leftovers, locks."""
    home = planner.store.home
    yield file_system(home)
    yield free_disk(planner)
    inventory = take_inventory(planner.store)
    yield artifacts(inventory)
    yield from unreadable(inventory)
    yield pointers(inventory)
    yield current_files(planner.store.root, inventory)
    yield from leftovers(home)


def file_system(home: Path) -> Finding:
    """Whether a folder can be renamed and a file locked where the store lies or will lie."""
    place = existing(home)
    try:
        fault = try_out(place)
    except OSError as error:
        fault = str(error)
    if fault:
        advice = "put the store on a local disk: --home FOLDER, or PIPELINE_HOME"
        return Finding("store's file system", Level.BROKEN, f"{place}: {fault}", advice)
    state = str(home) if home.is_dir() else f"{home}, which the first run makes"
    return Finding("store's file system", Level.OK, f"{state}: renames folders, locks files")


def existing(home: Path) -> Path:
    """The store's folder, or the nearest one above it that is there."""
    return next(path for path in (home, *home.parents) if path.is_dir())


def try_out(place: Path) -> str | None:
    """What a file system cannot do of what publication and locks need; None where it can."""
    with tempfile.TemporaryDirectory(prefix="doctor-", dir=place) as text:
        folder = Path(text)
        (folder / "work").mkdir()
        (folder / "work" / "file").write_text("content")
        os.rename(folder / "work", folder / "published")
        if (folder / "published" / "file").read_text() != "content":
            return "a renamed folder lost its file"
        return None if locks(folder / "lock") else "a lock does not keep others out"


def locks(path: Path) -> bool:
    """Whether a kernel lock keeps a second holder out."""
    with path.open("w") as first, path.open("w") as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def free_disk(planner: Planner) -> Finding:
    """Free space against what the recipe's artifacts took the last time."""
    free = shutil.disk_usage(existing(planner.store.home)).free
    known = list(costs(planner))
    if not known:
        return Finding("free disk", Level.OK, f"{size(free)}; what this recipe takes is unknown before its first run")
    taken = sum(last.bytes for last in known)
    found = f"{size(free)}; the artifacts of one run took {size(taken)}"
    if free < taken:
        return Finding("free disk", Level.WARNING, found, "make room: python -m pipeline gc")
    return Finding("free disk", Level.OK, found)


def costs(planner: Planner) -> Iterator[Last]:
    """What each stage of the recipe took the last time; an artifact that cannot be read has a line of its own."""
    for name in closure((FINAL,), planner.needs):
        with suppress(StoreError):
            if last := last_made(planner.store, planner.recipe.name, name):
                yield last


def artifacts(inventory: Inventory) -> Finding:
    """How many artifacts of each kind, and how large they are together, as their manifests say."""
    counts = Counter(kind for kind, _, _ in inventory.artifacts)
    total = sum(size_bytes(artifact) for artifact in inventory.artifacts.values())
    listed = ", ".join(f"{kind} {count}" for kind, count in counts.items())
    if not counts:
        return Finding("artifacts", Level.OK, "none yet")
    unhashed = "their manifests were read, their files not hashed: verify --all does that"
    return Finding("artifacts", Level.OK, f"{counts.total()}, {size(total)}: {listed}; {unhashed}")


def unreadable(inventory: Inventory) -> Iterator[Finding]:
    """Artifacts whose manifest is no good."""
    for folder, why in inventory.unreadable.items():
        yield Finding("artifact", Level.WARNING, f"{folder}: {why}", "see python -m pipeline verify --all")


def pointers(inventory: Inventory) -> Finding:
    """Recipes, tags and sweeps that name what is not there."""
    broken = [f"{p.owner} {p.name}" for p in inventory.pointers if p.target not in inventory.artifacts]
    if broken:
        advice = "run the recipe or the sweep again, pull the artifact, or remove the tag with tag NAME --delete"
        return Finding("pointers", Level.WARNING, f"to nothing: {first(broken)}", advice)
    return Finding("pointers", Level.OK, f"{len(inventory.pointers)}, all to artifacts that are here")


def current_files(root: Path, inventory: Inventory) -> Finding:
    """Keys that do not say which of their artifacts is in use."""
    keys = {(kind, key) for kind, key, _ in inventory.artifacts}
    lost = [
        f"{kind} {key[:12]}"
        for kind, key in sorted(keys)
        if (kind, key, current_digest(root / kind / key)) not in inventory.artifacts
    ]
    if lost:
        advice = "write the digest of one of the folders there into the file `current` beside them"
        return Finding("current files", Level.WARNING, f"absent or to nothing: {first(lost)}", advice)
    return Finding("current files", Level.OK, f"{len(keys)}")


def leftovers(home: Path) -> Iterator[Finding]:
    """Work folders of killed runs, running locks, the trash."""
    running = held_locks(home)
    if running:
        yield Finding("locks", Level.OK, f"held: {first([f'{kind} {key[:12]}' for kind, key in sorted(running)])}")
    else:
        yield Finding("locks", Level.OK, "none held")
    work = list(work_items(home, running, Rules(datetime.now(UTC))))
    dead = [item for item in work if not item.keep]
    if dead:
        found = f"{len(dead)} left by killed runs, {size(sum(item.bytes for item in dead))}"
        yield Finding("work folders", Level.WARNING, found, "python -m pipeline gc --apply")
    else:
        yield Finding("work folders", Level.OK, f"{len(work)}" if work else "none")
    if trash := trash_bytes(home):
        yield Finding("trash", Level.WARNING, size(trash), "python -m pipeline gc --empty-trash")


def first(names: list[str]) -> str:
    """The first few names, and how many more."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
