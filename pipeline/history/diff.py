"""What differs between two artifacts of one kind: what went in, what came out, what it cost."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError
from pipeline.graph import BY_NAME
from pipeline.plan import made_from
from pipeline.store.inventory import size_bytes
from pipeline.store.store import Artifact

METRICS = "metrics.json"
PER_CLASS = "per_class_iou"
COMPONENTS = ("config", "choices", "sources", "inputs", "code", "environment", "stage", "schema")
RUN = ("stage", "recipe", "seconds", "process_peak_mib", "processes", "failures")
"""What a manifest says of the run that made the artifact."""


@dataclass(frozen=True)
class Change:
    """One thing that differs; None where a side does not have it."""

    name: str
    old: Any
    new: Any

    @property
    def change(self) -> float | None:
        """New minus old, for numbers."""
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (self.old, self.new))
        return self.new - self.old if numbers else None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        row = {"name": self.name, "old": self.old, "new": self.new}
        return row if self.change is None else {**row, "change": self.change}


@dataclass(frozen=True)
class Difference:
    """Two artifacts, and the groups in which they were compared; an empty group is one without a difference."""

    old: Artifact
    new: Artifact
    groups: Mapping[str, tuple[Change, ...]]

    @property
    def equal_outputs(self) -> bool:
        """Whether both hold the same files, logs and timings left out."""
        return self.old.digest == self.new.digest

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "old": identity(self.old),
            "new": identity(self.new),
            "equal_outputs": self.equal_outputs,
            "groups": {name: [change.to_json() for change in changes] for name, changes in self.groups.items()},
        }


def identity(artifact: Artifact) -> dict[str, Any]:
    """By what an artifact is known."""
    named = {name: artifact.manifest[name] for name in ("stage", "kind", "key", "digest", "recipe", "created")}
    return {**named, "folder": str(artifact.folder)}


def differences(old: Artifact, new: Artifact) -> Difference:
    """Compare two artifacts; StoreError where they are of different kinds."""
    kinds = old.manifest["kind"], new.manifest["kind"]
    if kinds[0] != kinds[1]:
        raise StoreError(f"{kinds[0]} and {kinds[1]} cannot be compared: give two artifacts of one kind")
    sides = described(old), described(new)
    names = dict.fromkeys([*sides[0], *sides[1]])
    groups = {name: tuple(compare(name, *(side.get(name, {}) for side in sides))) for name in names}
    return Difference(old, new, {**groups, "files": tuple(file_changes(old, new))})


def described(artifact: Artifact) -> dict[str, Any]:
    """Everything that is compared of one artifact, by group."""
    manifest, components = artifact.manifest, dict(artifact.manifest["components"])
    components["environment"] = {**manifest.get("environment", {}), **components.get("environment", {})}
    components["sources"] = made_from(artifact) or components.get("sources")
    order = [*COMPONENTS, *(name for name in components if name not in COMPONENTS)]
    return {
        **{name: components.get(name) for name in order},
        **metrics(artifact.folder),
        **figures(artifact),
        "run": {**{name: manifest.get(name) for name in RUN}, "bytes": size_bytes(artifact)},
    }


def metrics(folder: Path) -> dict[str, dict[str, Any]]:
    """The scores of an artifact: `metrics`, and one group of IoU by class for each split or file that has one."""
    try:
        scores = json.loads((folder / METRICS).read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise StoreError(f"{folder / METRICS} is not valid JSON: {error}; run the stage with --force") from error
    groups: dict[str, dict[str, Any]] = defaultdict(dict)
    for path, value in leaves(scores):
        if PER_CLASS in path:
            place = path.index(PER_CLASS)
            groups[" ".join(("IoU by class,", *path[:place]))][".".join(path[place + 1 :])] = value
        else:
            groups["metrics"][".".join(path)] = value
    return groups


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(names, leaf) of everything below a nested mapping."""
    if not isinstance(value, Mapping):
        yield path, value
        return
    for name, below in value.items():
        yield from leaves(below, (*path, name))


def figures(artifact: Artifact) -> dict[str, dict[str, Any]]:
    """The tables that the stage itself reads out of its files."""
    stage = BY_NAME.get(artifact.manifest["stage"])
    read = getattr(stage.load(), "figures", None) if stage else None
    return read(artifact.folder) if read else {}


def compare(group: str, old: Any, new: Any) -> Iterator[Change]:
    """Every leaf in which two values differ; a group that is a leaf itself gives its own name."""
    before, after = (dict(leaves(value)) for value in (old, new))
    for path in dict.fromkeys([*before, *after]):
        if before.get(path) != after.get(path):
            yield Change(".".join(path) or group, before.get(path), after.get(path))


def file_changes(old: Artifact, new: Artifact) -> Iterator[Change]:
    """Bytes of every file whose content differs."""
    before, after = old.manifest["files"], new.manifest["files"]
    for name in dict.fromkeys([*before, *after]):
        sides = [files.get(name, {}) for files in (before, after)]
        if sides[0].get("sha256") != sides[1].get("sha256"):
            yield Change(name, *(side.get("bytes") for side in sides))
