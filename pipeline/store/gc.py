"""What of a store may go, and the reason why each of the rest stays; what goes moves to the trash first.

An artifact stays while a recipe, a tag or a sweep's cell names it, while another that stays was made from it or shares
its key, while a rule of the command line spares it, and while a run that is going on may read it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.graph import STAGES
from pipeline.references import SHOWN
from pipeline.store.inventory import (
    Address,
    Inventory,
    address,
    created,
    current_digest,
    held_locks,
    place_of,
    size_bytes,
    take_inventory,
    total_bytes,
    touched,
)
from pipeline.store.store import Artifact, Store

SCRATCH_DAYS = 30
"""Training state that nobody touched for so long counts as given up, unless the command line says otherwise."""
WORK_AGE = timedelta(hours=1)
"""A work folder that was touched within it may belong to a process on another machine."""
OWNER_WORDS = {"recipe": "last of recipe", "tag": "tagged", "sweep": "cell"}
KIND_ORDER = tuple(dict.fromkeys(stage.kind for stage in STAGES))


@dataclass(frozen=True)
class Rules:
    """What the command line spares."""

    now: datetime
    keep_last: int = 0
    """Newest artifacts of each kind."""
    older_than: timedelta | None = None
    """Only what is older may go."""


@dataclass(frozen=True)
class Item:
    """One folder of the store's home: whether it stays, and why."""

    what: str
    """`artifact`, `scratch` or `work`."""
    name: str
    path: Path
    bytes: int
    changed: datetime
    keep: bool
    reasons: tuple[str, ...]
    moved: bool = False

    def to_json(self) -> dict[str, Any]:
        """The row of `gc --json`."""
        return {
            "what": self.what,
            "name": self.name,
            "path": str(self.path),
            "bytes": self.bytes,
            "changed": self.changed.isoformat(timespec="seconds"),
            "keep": self.keep,
            "reasons": list(self.reasons),
            "moved": self.moved,
        }


def survey(store: Store, rules: Rules) -> list[Item]:
    """Everything that may go or must stay: artifacts, resume state, work folders."""
    inventory = take_inventory(store)
    running = held_locks(store.home)
    artifacts = artifact_items(inventory, running, rules)
    return [*artifacts, *scratch_items(store, running, rules), *work_items(store.home, running, rules)]


def artifact_items(inventory: Inventory, running: set[tuple[str, str]], rules: Rules) -> Iterator[Item]:
    """A row for each artifact, in the order of the stages, the newest first; then those that cannot be read."""
    kept = reasons_to_keep(inventory, running, rules)
    ordered = sorted(inventory.artifacts.values(), key=created, reverse=True)
    for artifact in sorted(ordered, key=lambda a: kind_order(str(a.manifest["kind"]))):
        reasons = kept.get(address(artifact))
        why = tuple(reasons or ("no recipe, tag or sweep names it, and nothing kept was made from it",))
        size = size_bytes(artifact)
        yield Item("artifact", shown(artifact), artifact.folder, size, created(artifact), bool(reasons), why)
    for folder, fault in inventory.unreadable.items():
        name, spared = "/".join(place_of(folder)), (f"{fault}: see doctor",)
        yield Item("artifact", name, folder, total_bytes(folder), touched(folder), True, spared)


def reasons_to_keep(inventory: Inventory, running: set[tuple[str, str]], rules: Rules) -> Mapping[Address, list[str]]:
    """Why each artifact that stays does."""
    reasons: dict[Address, list[str]] = defaultdict(list)
    for pointer in inventory.pointers:
        if pointer.target and pointer.target in inventory.artifacts:
            reasons[pointer.target].append(f"{OWNER_WORDS[pointer.owner]} {pointer.name}")
    for artifact in inventory.artifacts.values():
        spared = [*spared_by_rules(artifact, rules), *in_use(artifact, running)]
        if spared:
            reasons[address(artifact)] += spared
    for artifact in newest(inventory, rules.keep_last):
        reasons[address(artifact)].append(f"among the {rules.keep_last} newest of its kind")
    spread(inventory, reasons)
    return reasons


def spared_by_rules(artifact: Artifact, rules: Rules) -> Iterator[str]:
    """The reason by which --older-than spares an artifact."""
    if rules.older_than is not None and created(artifact) > rules.now - rules.older_than:
        yield f"younger than {rules.older_than.days} days"


def in_use(artifact: Artifact, running: set[tuple[str, str]]) -> Iterator[str]:
    """Runs that are going on and make this artifact or may read it: what they read is in no manifest yet."""
    kind = str(artifact.manifest["kind"])
    if (kind, artifact.key) in running:
        yield "its key is locked by a run"
    readers = sorted({made for made, _ in running if kind_order(made) > kind_order(kind)}, key=kind_order)
    if readers:
        yield f"a run that makes {' and '.join(readers)} may read it"


def newest(inventory: Inventory, count: int) -> Iterator[Artifact]:
    """The newest artifacts of each kind."""
    by_kind = defaultdict(list)
    for artifact in sorted(inventory.artifacts.values(), key=created, reverse=True):
        by_kind[artifact.manifest["kind"]].append(artifact)
    for artifacts in by_kind.values():
        yield from artifacts[:count]


def spread(inventory: Inventory, reasons: dict[Address, list[str]]) -> None:
    """Add what stays because of others that stay: what they were made from, and what their keys call current."""
    waiting = list(reasons)
    while waiting:
        artifact = inventory.artifacts[waiting.pop()]
        for other, why in implied(inventory, artifact):
            if other not in reasons:
                reasons[other].append(why)
                waiting.append(other)


def implied(inventory: Inventory, artifact: Artifact) -> Iterator[tuple[Address, str]]:
    """What must stay if this artifact does."""
    for sources in inventory.upstream(artifact).values():
        for source in sources:
            yield address(source), f"{shown(artifact)} was made from it"
    kind, key, digest = address(artifact)
    current = current_digest(artifact.folder.parent)
    if current and current != digest and (kind, key, current) in inventory.artifacts:
        yield (kind, key, current), f"current under the key of {shown(artifact)}"


def scratch_items(store: Store, running: set[tuple[str, str]], rules: Rules) -> Iterator[Item]:
    """A row for the resume state of each key."""
    for folder in sorted((store.home / "scratch").glob("*/*")):
        kind, key = folder.parent.name, folder.name
        keep, reason = judge_scratch(store, folder, (kind, key) in running, rules)
        name = f"{kind} {key[:SHOWN]}"
        yield Item("scratch", name, folder, total_bytes(folder), touched(folder), keep, (reason,))


def judge_scratch(store: Store, folder: Path, is_running: bool, rules: Rules) -> tuple[bool, str]:
    """Whether resume state stays, and why."""
    kind, key = folder.parent.name, folder.name
    if is_running:
        return True, "its key is locked by a run"
    if (store.root / kind / key / "current").exists():
        return False, "its artifact is published"
    limit = rules.older_than if rules.older_than is not None else timedelta(days=SCRATCH_DAYS)
    if touched(folder) < rules.now - limit:
        return False, f"an interrupted run, untouched for {(rules.now - touched(folder)).days} days"
    return True, "an interrupted run goes on from it"


def work_items(home: Path, running: set[tuple[str, str]], rules: Rules) -> Iterator[Item]:
    """A row for each work folder: a run removes its own, a killed one could not."""
    for folder in sorted((home / "work").glob("*")):
        recent = touched(folder) > rules.now - WORK_AGE
        reason = "a run is going on" if running else "touched within the hour" if recent else "left by a killed run"
        keep = bool(running) or recent
        yield Item("work", folder.name[:SHOWN], folder, total_bytes(folder), touched(folder), keep, (reason,))


def kind_order(kind: str) -> int:
    """Place of a kind among the stages."""
    return KIND_ORDER.index(kind) if kind in KIND_ORDER else len(KIND_ORDER)


def shown(artifact: Artifact) -> str:
    """`distill@8d17b8eb4180`, as references name it."""
    return f"{artifact.manifest['kind']}@{artifact.digest[:SHOWN]}"
