"""How a command line names an artifact.

distill              the current artifact of that stage under the recipe, otherwise the last one made for it
distill@1811997e     by the beginning of its digest or key, of any recipe
tag:shipped          by a tag
losses/idd-seed0     by a sweep and its cell
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.errors import CorruptError, StoreError
from pipeline.graph import BY_NAME, NAMES, matching
from pipeline.nearest import nearest
from pipeline.plan import Planner
from pipeline.render import moment
from pipeline.store.store import Artifact, Store
from pipeline.store.verify import check

SHOWN = 12
"""Characters of a hash that are printed."""

Say = Callable[[str], None]


def unsaid(line: str) -> None:
    """Keeps to itself what there is to say of a reference."""


def resolve(reference: str, planner: Planner, say: Say = unsaid) -> Artifact:
    """The artifact that a reference names; StoreError where there is none, more than one, or a corrupt one.

    `say` is told where one result lies under several keys, and which of them was taken.
    """
    if reference.startswith("tag:"):
        return by_tag(planner.store, reference.removeprefix("tag:"))
    if "/" in reference:
        return by_cell(planner.store, reference)
    stage, at, prefix = reference.partition("@")
    if not at:
        refuse_sweep(planner.store, stage)
    (name,) = one_stage(stage)
    if at:
        return by_prefix(planner, BY_NAME[name].kind, prefix, say)
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


def by_prefix(planner: Planner, kind: str, prefix: str, say: Say) -> Artifact:
    """The one artifact of a kind whose digest or key begins so; CorruptError where its manifest is none.

    Equal bytes under several keys (`accept` makes such) are one thing to whoever names them by digest.
    """
    store = planner.store
    known = store.folders(kind)
    found = [folder for folder in known if folder.name.startswith(prefix) or folder.parent.name.startswith(prefix)]
    if len(found) == 1:
        return store.at(found[0])
    if len({folder.name for folder in found}) == 1:
        return one_of_equals(planner, found, say)
    if not found:
        names = ", ".join(f"{kind}@{folder.name[:SHOWN]}" for folder in known) or "none at all"
        raise StoreError(f"no artifact {kind}@{prefix}: there is {names}")
    candidates = ", ".join(f"{kind}@{folder.name[:SHOWN]} ({made_at(store, folder)})" for folder in found)
    raise StoreError(f"{kind}@{prefix} names {len(found)} artifacts: {candidates}")


def one_of_equals(planner: Planner, folders: Sequence[Path], say: Say) -> Artifact:
    """Of artifacts with one digest the one that is current under the recipe, otherwise the first by key."""
    current = {status.folder for status in planner.statuses().values()}
    chosen = next((folder for folder in folders if folder in current), folders[0])
    why = "the current one" if chosen in current else "none of them current"
    kind, key, digest = chosen.parts[-3:]
    say(f"{kind}@{digest[:SHOWN]} lies under {len(folders)} keys with equal content: took key {key[:SHOWN]}, {why}")
    return planner.store.at(chosen)


def made_at(store: Store, folder: Path) -> str:
    """When an artifact was made, as far as it can tell."""
    try:
        return moment(store.at(folder).manifest["created"])
    except CorruptError:
        return "corrupt"


def by_tag(store: Store, name: str) -> Artifact:
    """The artifact of a tag; StoreError where there is no such tag, or its artifact is gone."""
    return pointed(store, tag_file(store, name), f"tag {name}")


def tag_file(store: Store, name: str) -> Path:
    """The pointer file of a tag; StoreError that offers the nearest where there is no such tag."""
    known = pointers(store.home / "tags")
    if name not in known:
        raise StoreError(f"no tag {name!r}: {nearest(name, known) if known else 'there are none yet'}")
    return known[name]


def by_cell(store: Store, reference: str) -> Artifact:
    """The artifact of `sweep/cell`; StoreError that offers the nearest sweep, or the nearest of its cells."""
    sweep, _, cell = reference.partition("/")
    known = cells(store)
    if sweep not in known:
        raise StoreError(f"no sweep {sweep!r}: {nearest(sweep, known) if known else 'none has made anything yet'}")
    if cell not in known[sweep]:
        raise StoreError(f"sweep {sweep} has no cell {cell!r} that was made: {nearest(cell, known[sweep])}")
    return pointed(store, known[sweep][cell], f"cell {reference}")


def refuse_sweep(store: Store, name: str) -> None:
    """StoreError that names the cells where a sweep's name stands for a stage's."""
    known = cells(store).get(name) if name not in NAMES else None
    if known:
        raise StoreError(
            f"{name} is a sweep, not a stage: name a cell of it: {', '.join(f'{name}/{c}' for c in known)}"
        )


def cells(store: Store) -> dict[str, dict[str, Path]]:
    """Pointer files of every sweep that made anything, by sweep and cell."""
    found: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in sorted((store.home / "sweeps").glob("*/cells/*.json")):
        found[path.parent.parent.name][path.stem] = path
    return found


def pointed(store: Store, path: Path, what: str) -> Artifact:
    """The artifact to which a pointer file points."""
    artifact = store.pointed(path)
    if artifact is None:
        raise StoreError(f"{what} points to an artifact that is gone: {path}")
    return artifact


def pointers(folder: Path) -> dict[str, Path]:
    """Pointer files of a folder by name."""
    return {path.stem: path for path in sorted(folder.glob("*.json"))}
