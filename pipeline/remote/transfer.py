"""`push` and `pull`: which artifacts, in which order, and what became of each."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipeline.errors import PipelineError, RemoteError, StoreError
from pipeline.graph import BY_NAME, FINAL, STAGES, closure, matching
from pipeline.plan import Planner, State, Status, equal_but_for_sources
from pipeline.references import SHOWN, one_stage, resolve
from pipeline.remote import download, upload
from pipeline.remote.store import Offer, Remote
from pipeline.store.store import Artifact, Store

Say = Callable[[str], None]


@dataclass(frozen=True)
class Transfer:
    """What became of one artifact."""

    reference: str
    """`kind@digest`, shortened."""
    action: str
    """`pushed`, `pulled`, `already there`, `kept local`; with --dry-run `would push`, `would pull`."""
    bytes: int = 0
    """Bytes that were moved, or would be."""
    seconds: float = 0.0
    note: str = ""
    """What else there is to know."""

    def to_json(self) -> dict[str, Any]:
        """The row of `push --json` and `pull --json`."""
        return asdict(self) | {"seconds": round(self.seconds, 2)}


@dataclass(frozen=True)
class How:
    """What both directions are told."""

    use: bool = False
    """Make what arrives the current artifact under its key although another one is (`--current`)."""
    dry: bool = False
    """Move nothing."""


def push(planner: Planner, remote: Remote, references: Sequence[str], how: How) -> Iterator[Transfer]:
    """Send the named artifacts, or every current one of the recipe in the order of the stages."""
    if references:
        artifacts = [resolve(reference, planner) for reference in references]
    else:
        artifacts = list(current_artifacts(planner))
    sent = set()
    for artifact in artifacts:
        if artifact.folder not in sent:
            sent.add(artifact.folder)
            yield push_one(artifact, planner.store, remote, how)


def current_artifacts(planner: Planner) -> Iterator[Artifact]:
    """The recipe's current artifacts in the order of the stages; StoreError where one of them is corrupt."""
    for name, status in planner.statuses().items():
        if status.broken:
            raise StoreError(f"{name} is corrupt, nothing was pushed: {'; '.join(status.reasons)}")
        if status.artifact:
            yield status.artifact


def push_one(artifact: Artifact, store: Store, remote: Remote, how: How) -> Transfer:
    """Send one artifact unless it is there, and make it current where none is."""
    kind, key, digest = artifact.manifest["kind"], artifact.key, artifact.digest
    reference = f"{kind}@{digest[:SHOWN]}"
    began = time.perf_counter()
    held = remote.holds(kind, key, digest)
    upload.check_whole(artifact, store.home)
    if held:
        refuse_damaged(artifact, remote)
    missing = {} if held else upload.missing_files(artifact, remote)
    size = sum(missing.values())
    if how.dry:
        note = "its folder would be made" if remote.to_be_made else ""
        return Transfer(reference, "already there" if held else "would push", size, note=note)
    sent = not held and upload.send(artifact, remote, missing)
    in_use = remote.current(kind, key)
    if in_use is None or how.use:
        remote.point(kind, key, digest)
        in_use = digest
    note = "" if in_use == digest else f"{kind}@{in_use[:SHOWN]} stays current there under the same key"
    return Transfer(reference, "pushed" if sent else "already there", size, time.perf_counter() - began, note)


def refuse_damaged(artifact: Artifact, remote: Remote) -> None:
    """RemoteError where the remote artifact's files do not have the sizes that they have here."""
    kind, key, digest = artifact.manifest["kind"], artifact.key, artifact.digest
    there = remote.sizes(remote.folder(kind, key, digest))
    for name, file in artifact.manifest["files"].items():
        if not file["volatile"] and there.get(name) != file["bytes"]:
            found = f"has {there[name]:,} bytes, not {file['bytes']:,}" if name in there else "is missing"
            raise RemoteError(
                f"{remote.url}: {kind}@{digest[:SHOWN]} is damaged there: {name} {found}: "
                f"delete {remote.folder(kind, key, digest)} there and push again"
            )


def pull(planner: Planner, remote: Remote, references: Sequence[str], how: How, say: Say) -> Iterator[Transfer]:
    """Fetch the named artifacts, or every one that the recipe's plan wants and the remote store has."""
    stages = [name for reference in references if "@" not in reference for name in stages_of(reference)]
    if stages or not references:
        yield from pull_planned(planner, remote, stages, how, say)
    for reference in references:
        if "@" in reference:
            yield pull_one(offer_named(reference, remote), remote, planner.store, how, say)


def stages_of(reference: str) -> tuple[str, ...]:
    """The stages that a reference without a digest names."""
    if ":" in reference or "/" in reference:
        raise RemoteError(f"{reference}: tags and sweeps are kept on one machine; pull a stage or kind@digest")
    return matching(reference)


def offer_named(reference: str, remote: Remote) -> Offer:
    """The remote store's one artifact of a reference `stage@prefix`, by digest or key."""
    stage, _, prefix = reference.partition("@")
    kind = BY_NAME[one_stage(stage)[0]].kind
    found = remote.find(kind, prefix)
    if len({digest for _, digest in found}) > 1:
        candidates = ", ".join(f"{kind}@{digest[:SHOWN]} (key {key[:SHOWN]})" for key, digest in found)
        raise RemoteError(f"{reference} names {len(found)} artifacts of {remote.url}: {candidates}")
    if not found:
        known = ", ".join(f"{kind}@{digest[:SHOWN]}" for _, digest in remote.find(kind, "")) or "none at all"
        raise RemoteError(f"no artifact {reference} in {remote.url}: there is {known}")
    offer = remote.offer(kind, *found[-1])
    if offer is None:
        raise RemoteError(f"{reference} was removed from {remote.url} just now")
    return offer


def pull_planned(planner: Planner, remote: Remote, stages: Sequence[str], how: How, say: Say) -> Iterator[Transfer]:
    """Walk the plan in order and fetch what it wants: of these stages, or of all.

    A stage's key needs the digests upstream of it. Where an artifact is neither here nor asked for, its manifest in the
    remote store tells the digest: a board fetches its student without the teacher behind it.
    """
    wanted = closure(tuple(stages) or (FINAL,), planner.needs)
    found: dict[str, Status] = {}
    for stage in STAGES:
        status = planner.status(stage, found, needed=stage.name in wanted)
        offer = current_offer(status, remote) or offer_alike(planner, status, found, remote)
        asked = stage.name in stages if stages else status.state is not State.NOT_NEEDED
        if asked and offer:
            row = keep_local(status.artifact, offer, how) or pull_one(offer, remote, planner.store, how, say)
            note_for_recipe(planner, stage.name, offer)
            yield row
        elif asked and not status.artifact:
            report_absent(status, remote, required=bool(stages), say=say)
        found[stage.name] = settled(status, offer, planner.store, how)
    planner.save_caches()


def current_offer(status: Status, remote: Remote) -> Offer | None:
    """The remote store's current artifact under the key of a stage, where there is a key."""
    kind, key = status.stage.kind, status.key
    digest = remote.current(kind, key) if key else None
    return remote.offer(kind, key, digest) if key and digest else None


def offer_alike(planner: Planner, status: Status, upstream: Mapping[str, Status], remote: Remote) -> Offer | None:
    """The newest artifact that may stand for a stage whose source files are not on this machine."""
    if status.error is None:
        return None
    try:
        components = planner.components(status.stage, upstream)
    except PipelineError:
        return None
    kind = status.stage.kind
    offers = (remote.offer(kind, key, digest) for key, digest in remote.find(kind, ""))
    alike = [o for o in offers if o and equal_but_for_sources(o.manifest["components"], components)]
    return max(alike, key=lambda offer: str(offer.manifest["created"]), default=None)


def keep_local(local: Artifact | None, offer: Offer, how: How) -> Transfer | None:
    """The row of an offer that meets another artifact here and yields to it."""
    if local is None or local.digest == offer.digest or how.use:
        return None
    note = f"{offer.kind}@{local.digest[:SHOWN]} stays current here; the store has {offer.reference} under the same key"
    return Transfer(offer.reference, "kept local", note=f"{note}: pull it by that name, or with --current")


def settled(status: Status, offer: Offer | None, store: Store, how: How) -> Status:
    """The status by which the plan goes on: with the artifact that is here or would be."""
    if offer is None or (status.artifact and not how.use):
        return status
    folder = store.root / offer.kind / offer.key / offer.digest
    return replace(status, state=State.CURRENT, reasons=(), artifact=Artifact(folder, offer.manifest))


def note_for_recipe(planner: Planner, stage: str, offer: Offer) -> None:
    """Remember a fetched artifact as the recipe's last, with which a stale stage is compared."""
    artifact = planner.store.intact(offer.kind, offer.key)
    if artifact and artifact.digest == offer.digest:
        planner.store.remember(planner.recipe.name, stage, artifact)


def report_absent(status: Status, remote: Remote, required: bool, say: Say) -> None:
    """Say, or raise where it was asked for by name, that the remote store has nothing for a stage."""
    why = f"not in {remote.url} under key {status.key[:SHOWN]}" if status.key else "; ".join(status.reasons)
    if required:
        raise RemoteError(f"{status.stage.name}: {why}; push it where it was made, under the same recipe and settings")
    if status.key or status.error:
        say(f"{status.stage.name}: {why}")


def pull_one(offer: Offer, remote: Remote, store: Store, how: How, say: Say) -> Transfer:
    """Fetch one artifact unless it is here and whole, and make it current where none is."""
    began = time.perf_counter()
    here = download.sound(offer, store)
    if how.dry:
        return Transfer(offer.reference, "already there" if here else "would pull", 0 if here else offer.bytes)
    artifact, moved = (here, 0) if here else download.fetch(offer, remote, store, say)
    in_use = store.intact(offer.kind, offer.key)
    if in_use is None or how.use:
        store.make_current(artifact)
        in_use = artifact
    stays = in_use.digest != offer.digest
    note = f"{offer.kind}@{in_use.digest[:SHOWN]} stays current here under the same key" if stays else ""
    action = "already there" if here else "pulled"
    return Transfer(offer.reference, action, moved, time.perf_counter() - began, note)
