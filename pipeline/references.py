"""How a command line names an artifact.

distill              the current artifact of that stage under the recipe, otherwise the last one made for it
distill@1811997e     by the beginning of its digest or key, of any recipe
tag:shipped          by a tag
losses/idd-seed0     by a sweep and its cell
"""

from pathlib import Path

from pipeline.errors import CorruptError, StoreError
from pipeline.graph import BY_NAME, matching
from pipeline.nearest import nearest
from pipeline.plan import Planner
from pipeline.store.store import Artifact, Store
from pipeline.store.verify import check

SHOWN = 12
"""Characters of a hash that are printed."""


def resolve(reference: str, planner: Planner) -> Artifact:
    """The artifact that a reference names; StoreError where there is none, more than one, or a corrupt one."""
    if reference.startswith("tag:"):
        return by_pointer(planner.store, "tags", reference.removeprefix("tag:"))
    if "/" in reference:
        return by_pointer(planner.store, "sweeps", reference)
    stage, at, prefix = reference.partition("@")
    (name,) = one_stage(stage)
    if at:
        return by_prefix(planner.store, BY_NAME[name].kind, prefix)
    status = planner.statuses()[name]
    if status.broken:
        fault = check(planner.store.home, status.broken)[0]
        raise CorruptError(status.broken, fault.file, fault.problem)
    artifact = status.artifact or planner.store.last(planner.recipe.name, name)
    if artifact is None:
        raise StoreError(f"{name} has no artifact: it is {status.state}: {'; '.join(status.reasons)}")
    return artifact


def is_stage(reference: str) -> bool:
    """Whether a reference is the name of a stage, or a prefix of some, and no more."""
    return not any(mark in reference for mark in ("tag:", "/", "@"))


def one_stage(name: str) -> tuple[str]:
    """The stage of that name; a prefix such as `export` must mean one stage alone."""
    found = matching(name)
    if len(found) > 1:
        raise StoreError(f"{name!r} names {len(found)} stages: give one of {', '.join(found)}")
    return (found[0],)


def by_prefix(store: Store, kind: str, prefix: str) -> Artifact:
    """The one artifact of a kind whose digest or key begins so; CorruptError where its manifest is none."""
    known = store.folders(kind)
    found = [folder for folder in known if folder.name.startswith(prefix) or folder.parent.name.startswith(prefix)]
    # Equal bytes under several keys are one thing to whoever names them by digest.
    if len({folder.name for folder in found}) == 1:
        return store.at(found[-1])
    if not found:
        names = ", ".join(f"{kind}@{folder.name[:SHOWN]}" for folder in known) or "none at all"
        raise StoreError(f"no artifact {kind}@{prefix}: there is {names}")
    candidates = ", ".join(f"{kind}@{folder.name[:SHOWN]} ({made_at(store, folder)})" for folder in found)
    raise StoreError(f"{kind}@{prefix} names {len(found)} artifacts: {candidates}")


def made_at(store: Store, folder: Path) -> str:
    """When an artifact was made, as far as it can tell."""
    try:
        return str(store.at(folder).manifest["created"])
    except CorruptError:
        return "corrupt"


def by_pointer(store: Store, folder: str, name: str) -> Artifact:
    """The artifact of a pointer file below the store's home: a tag or a sweep's cell."""
    known = pointers(store.home / folder)
    if name not in known:
        raise StoreError(f"no {name!r} in {folder}: {nearest(name, known) if known else 'there are none yet'}")
    artifact = store.pointed(known[name])
    if artifact is None:
        raise StoreError(f"{folder}/{name} points to an artifact that is gone: {known[name]}")
    return artifact


def pointers(folder: Path) -> dict[str, Path]:
    """Pointer files by name: `name.json`, or `sweep/cells/name.json` as `sweep/name`."""
    return {
        "/".join(part for part in path.relative_to(folder).with_suffix("").parts if part != "cells"): path
        for path in sorted(folder.rglob("*.json"))
        if path.parent == folder or path.parent.name == "cells"
    }
