"""How a command line names an artifact.

distill              the current artifact of that stage under the recipe, otherwise the last one made for it
distill@1811997e     by the beginning of its digest or key, of any recipe
tag:shipped          by a tag
losses/idd-seed0     by a sweep and its cell
"""

from pathlib import Path

from pipeline.errors import StoreError
from pipeline.graph import BY_NAME, matching
from pipeline.nearest import nearest
from pipeline.plan import Planner
from pipeline.store import Artifact, Store

SHOWN = 12
"""Characters of a hash that are printed."""


def resolve(reference: str, planner: Planner) -> Artifact:
    """The artifact that a reference names; StoreError where there is none or more than one."""
    if reference.startswith("tag:"):
        return by_pointer(planner.store, "tags", reference.removeprefix("tag:"))
    if "/" in reference:
        return by_pointer(planner.store, "sweeps", reference)
    stage, at, prefix = reference.partition("@")
    (name,) = one_stage(stage)
    if at:
        return by_prefix(planner.store, BY_NAME[name].kind, prefix)
    status = planner.statuses()[name]
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
    """The one artifact of a kind whose digest or key begins so."""
    found = [a for a in store.artifacts(kind) if a.digest.startswith(prefix) or a.key.startswith(prefix)]
    # Equal bytes under several keys are one thing to whoever names them by digest.
    if len({a.digest for a in found}) == 1:
        return found[-1]
    if not found:
        known = ", ".join(f"{kind}@{a.digest[:SHOWN]}" for a in store.artifacts(kind)) or "none at all"
        raise StoreError(f"no artifact {kind}@{prefix}: there is {known}")
    candidates = ", ".join(f"{kind}@{a.digest[:SHOWN]} ({a.manifest['created']})" for a in found)
    raise StoreError(f"{kind}@{prefix} names {len(found)} artifacts: {candidates}")


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
