"""The state of every stage, and why: computed from the recipe, the code and the store, never stored."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.errors import PipelineError, RecipeError
from pipeline.graph import BY_NAME, FINAL, STAGES, Stage, closure, matching
from pipeline.identity.explain import TO_BE_MADE, Change, causes_first, changes, source_changes, summary
from pipeline.identity.fingerprint import Reached
from pipeline.identity.fingerprint import closure as code_closure
from pipeline.identity.keys import SCHEMA, config_identity, key_of
from pipeline.identity.sources import SourceCache
from pipeline.identity.statcache import StatCache
from pipeline.recipe import Recipe
from pipeline.stage import StageConfig
from pipeline.store import attempts
from pipeline.store.locks import holder, lock_path
from pipeline.store.store import Artifact, Store
from pipeline.store.verify import check, restore, told


class State(StrEnum):
    CURRENT = "current"
    SOURCE_ABSENT = "current (source absent)"
    """The files from which it was made are not on this machine; its recorded digest stands."""
    STALE = "stale"
    MISSING = "missing"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    CORRUPT = "corrupt"
    SKIPPED = "skipped"
    NOT_NEEDED = "not needed"


MADE = (State.CURRENT, State.SOURCE_ABSENT)
SETTLED = (*MADE, State.SKIPPED)
SOURCES = "sources.json"
"""File of an artifact that names the files outside the store from which it was made, with their sha256."""


@dataclass(frozen=True)
class Status:
    """One stage: its state, why, and the key where everything upstream is settled."""

    stage: Stage
    config: StageConfig
    needs: tuple[str, ...]
    state: State
    reasons: tuple[str, ...] = ()
    components: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    artifact: Artifact | None = None
    error: PipelineError | None = None
    """Why the key cannot be computed; `run` raises it."""
    changes: tuple[Change, ...] = ()
    """What differs from `last`, all of it; `reasons` names the first few."""
    last: Artifact | None = None
    """The artifact made last for this stage of this recipe, where the state is another than current."""
    source_files: Mapping[str, str] = field(default_factory=dict)
    """Path by relative name of the files outside the store that the stage reads."""
    broken: Path | None = None
    """Folder of the artifact that would be current if its files were what its manifest says."""

    @property
    def digest(self) -> str | None:
        """Digest of the current artifact."""
        return self.artifact.digest if self.artifact else None

    @property
    def folder(self) -> Path | None:
        """Where the artifact lies that is current, or would be if it were not corrupt."""
        return self.artifact.folder if self.artifact else self.broken

    def to_json(self) -> dict[str, Any]:
        """The row of `status --json`."""
        return {
            "stage": self.stage.name,
            "state": str(self.state),
            "key": self.key,
            "digest": self.digest,
            "reasons": list(self.reasons),
        }


class Planner:
    """Computes statuses for one recipe on one machine."""

    def __init__(self, recipe: Recipe, store: Store, facts: Mapping[str, Any]) -> None:
        self.recipe = recipe
        self.store = store
        self.facts = facts
        self.modules = {stage.name: stage.load() for stage in STAGES}
        self.needs = {name: tuple(module.needs(recipe.configs[name])) for name, module in self.modules.items()}
        self.rehearsed = False
        self.code_cache = StatCache(store.home / "cache" / "code.json")
        self.file_cache = StatCache(store.home / "cache" / "files.json")
        self.source_cache = SourceCache(store.home / "cache")

    def check(self, stages: Collection[str]) -> None:
        """Raise what is wrong with the configs of these stages, before the first of them runs for hours."""
        for name in stages:
            config = self.recipe.configs[name]
            self.modules[name].code(config)
            config_identity(config, self.file_cache, BY_NAME[name].kind)

    def rehearse(self, stages: Collection[str]) -> None:
        """Let these stages say what will go wrong, once, before the first of them spends hours."""
        for stage in STAGES:
            hook = getattr(self.modules[stage.name], "rehearse", None)
            if hook and stage.name in stages and not self.rehearsed:
                hook(self.recipe.configs[stage.name], self.recipe.configs, self.facts["device"])
        self.rehearsed = True

    def inspect(self, stages: Collection[str], upstream: Mapping[str, Status]) -> None:
        """Let these stages say what will go wrong with those of their inputs that are there."""
        for stage in STAGES:
            hook = getattr(self.modules[stage.name], "inspect", None)
            if hook and stage.name in stages:
                there = {name: upstream[name].artifact for name in self.needs[stage.name] if name in upstream}
                hook(self.recipe.configs[stage.name], {name: made.folder for name, made in there.items() if made})

    def statuses(self) -> dict[str, Status]:
        """Status of every stage, in order."""
        wanted = closure((FINAL,), self.needs)
        found: dict[str, Status] = {}
        for stage in STAGES:
            found[stage.name] = self.status(stage, found, needed=stage.name in wanted)
        self.save_caches()
        return found

    def status(self, stage: Stage, upstream: Mapping[str, Status], needed: bool = True) -> Status:
        """Status of one stage, given those of the stages before it."""
        config, needs = self.recipe.configs[stage.name], self.needs[stage.name]
        if not needed:
            return Status(stage, config, needs, State.NOT_NEEDED)
        found = Status(stage, config, needs, State.MISSING, last=self.store.last(self.recipe.name, stage.name))
        try:
            components = self.components(stage, upstream)
        except PipelineError as error:
            return replace(found, reasons=(str(error),), error=error)
        try:
            files = self.source_files(stage)
        except PipelineError as error:
            return self.without_sources(found, components, error)
        components["sources"] = self.source_cache.identity(files) if files else None
        found = replace(found, components=components, source_files=files)
        waiting = [name for name in needs if upstream[name].state not in SETTLED]
        return self.waiting(found, waiting) if waiting else self.decided(found)

    def waiting(self, found: Status, waiting: Collection[str]) -> Status:
        """Status of a stage whose inputs are still to be made."""
        unavailable = self.unavailable(found.stage)
        if unavailable:
            return replace(found, state=State.SKIPPED, reasons=(unavailable,))
        own = tuple(change for change in self.differences(found) if change.new != TO_BE_MADE)
        reasons = (f"waits for {', '.join(waiting)}", *summary(own))
        return replace(found, state=State.STALE if found.last else State.MISSING, reasons=reasons, changes=own)

    def decided(self, found: Status) -> Status:
        """Status of a stage all of whose inputs are settled, so that its key is known."""
        key = key_of(found.components)
        found = replace(found, key=key)
        made = self.made(found, self.store.current_folder(found.stage.kind, key))
        if made:
            return made
        unavailable = self.unavailable(found.stage)
        if unavailable:
            return replace(found, state=State.SKIPPED, reasons=(unavailable,))
        begun = self.begun(found)
        if begun:
            return begun
        if found.last is None:
            return replace(found, state=State.MISSING, reasons=("never made for this recipe",))
        differs = self.differences(found)
        return replace(found, state=State.STALE, reasons=summary(differs), changes=differs)

    def made(self, found: Status, folder: Path | None) -> Status | None:
        """Status of a stage that has an artifact, in `folder`, sound or corrupt, or that a process is making."""
        assert found.key is not None
        faults = check(self.store.home, folder) if folder else ()
        making = holder(lock_path(self.store.home, found.stage.kind, found.key))
        by = (f"being made by {making.text()}",) if making else ()
        if making and (faults or folder is None):
            return replace(found, state=State.RUNNING, reasons=by)
        if folder is None:
            return None
        if faults:
            why = (told(faults), restore(found.stage.name, folder))
            return replace(found, state=State.CORRUPT, reasons=why, broken=folder)
        artifact = self.store.at(folder)
        withheld = tuple(f"withheld: {failure}" for failure in artifact.manifest.get("failures", ()))
        return replace(found, state=State.CURRENT, reasons=(*by, *withheld), artifact=artifact, last=None)

    def begun(self, found: Status) -> Status | None:
        """Status of a stage of which an attempt was begun and not brought to its end."""
        assert found.key is not None
        scratch = self.store.scratch(found.stage.kind, found.key)
        failure = attempts.failure(scratch)
        if failure:
            return replace(found, state=State.FAILED, reasons=(failure.text(),))
        if not attempts.was_begun(scratch):
            return None
        how = "goes on from its last checkpoint" if attempts.has_state(scratch) else "left no checkpoint: starts again"
        return replace(found, state=State.INTERRUPTED, reasons=(how,))

    def without_sources(self, found: Status, components: Mapping[str, Any], absent: PipelineError) -> Status:
        """Status of a stage whose source files are not on this machine: what was made from them stands."""
        alike = [a for a in self.candidates(found) if equal_but_for_sources(a.manifest["components"], components)]
        # Which of several data sets was meant, nobody can tell but the one that this recipe used last.
        if len({a.digest for a in alike}) != 1 and not (alike and found.last in alike):
            return replace(found, reasons=(str(absent),), error=absent)
        artifact = alike[0]
        found = replace(found, components=artifact.manifest["components"], key=artifact.key)
        made = self.made(found, artifact.folder)
        assert made is not None
        return replace(made, state=State.SOURCE_ABSENT, reasons=(str(absent),)) if made.artifact else made

    def candidates(self, found: Status) -> Iterator[Artifact]:
        """Artifacts that may stand for a stage: the one this recipe used last, then every other, newest first."""
        if found.last:
            yield found.last
        yield from sorted(self.store.artifacts(found.stage.kind), key=lambda a: a.manifest["created"], reverse=True)

    def differences(self, found: Status) -> tuple[Change, ...]:
        """What differs between the artifact made last and today, by name, the causes first."""
        if found.last is None:
            return ()
        old = found.last.manifest["components"]
        reached = self.reached(found.stage, found.config)
        listed = [c for c in changes(old, found.components, reached) if c.component != "sources"]
        if old.get("sources") != found.components["sources"]:
            listed += source_changes(made_from(found.last), self.source_cache.digests(found.source_files))
        return causes_first(listed, changes(old, self.under_config_of(old, found)))

    def under_config_of(self, old: Mapping[str, Any], found: Status) -> Mapping[str, Any]:
        """Today's components, but with what the config of an older artifact would choose and need.

        Where that config cannot be read any more, today's components as they are.
        """
        if old.get("config") == found.components["config"]:
            return found.components
        module, inputs = self.modules[found.stage.name], found.components["inputs"]
        try:
            config = module.Config.model_validate(old.get("config"))
            chosen = {"choices": self.choices(found.stage.name, config), "code": self.code(found.stage, config)}
            needs = module.needs(config)
        except (ValidationError, PipelineError):
            return found.components
        return {**found.components, **chosen, "inputs": {n: inputs.get(n, old.get("inputs", {}).get(n)) for n in needs}}

    def unavailable(self, stage: Stage) -> str | None:
        """Why this machine cannot run the stage, or None."""
        available = getattr(self.modules[stage.name], "available", None)
        return available(self.facts) if available else None

    def components(self, stage: Stage, upstream: Mapping[str, Status]) -> dict[str, Any]:
        """Everything that decides the stage's outputs, by name, but for the files outside the store."""
        module, config = self.modules[stage.name], self.recipe.configs[stage.name]
        settled = {name: upstream[name].state in SETTLED for name in self.needs[stage.name]}
        return {
            "schema": SCHEMA,
            "stage": {"kind": stage.kind, "version": module.VERSION},
            "config": config_identity(config, self.file_cache, stage.kind),
            "sources": None,
            "choices": self.choices(stage.name, config),
            "code": self.code(stage, config),
            "inputs": {n: upstream[n].digest or "skipped" if known else TO_BE_MADE for n, known in settled.items()},
            "environment": {name: self.facts[name] for name in getattr(module, "ENVIRONMENT", ())},
        }

    def source_files(self, stage: Stage) -> dict[str, str]:
        """Path by relative name of the files outside the store that the stage reads."""
        source_files = getattr(self.modules[stage.name], "source_files", None)
        return source_files(self.recipe.configs[stage.name]) if source_files else {}

    def code(self, stage: Stage, config: StageConfig) -> dict[str, str]:
        """Fingerprint by module of the first-party code that the stage may run under a config."""
        return {name: each.fingerprint for name, each in sorted(self.reached(stage, config).items())}

    def reached(self, stage: Stage, config: StageConfig) -> dict[str, Reached]:
        """The first-party code that the stage may run under a config."""
        return code_closure([stage.module, *sorted(self.chosen(stage.name, config))], self.code_cache)

    def chosen(self, name: str, config: StageConfig) -> set[str]:
        """Modules that a config of this stage chooses, and those that run where it loads what it needs."""
        module = self.modules[name]
        return set(module.code(config)).union(*(self.loading(upstream) for upstream in module.needs(config)))

    def loading(self, name: str) -> tuple[str, ...]:
        """Modules that run wherever the artifact of a stage is loaded."""
        loading = getattr(self.modules[name], "loading", None)
        return tuple(loading(self.recipe.configs[name])) if loading else ()

    def choices(self, name: str, config: StageConfig) -> dict[str, Any]:
        """What the names in a config of this stage stand for."""
        choices = getattr(self.modules[name], "choices", None)
        return choices(config) if choices else {}

    def save_caches(self) -> None:
        """Keep fingerprints and file hashes for the next command."""
        self.code_cache.save()
        self.file_cache.save()
        self.source_cache.save()


@dataclass(frozen=True)
class Selection:
    """Which stages a command runs, and which of them it runs although they are current."""

    selected: frozenset[str]
    forced: frozenset[str]


def select(
    needs: Mapping[str, tuple[str, ...]], until: str | None, start: str | None, only: str | None, force: str | None
) -> Selection:
    """Resolve --until, --from, --only and --force; every name may be a prefix such as `export`."""
    if only and (until or start):
        raise RecipeError("--only stands alone: leave out --until and --from")
    targets = matching(only) if only else matching(until) if until else (FINAL,)
    selected = set(targets) if only else closure(targets, needs)
    if start:
        first = set(matching(start))
        selected = {name for name in selected if closure((name,), needs) & first}
        if not selected:
            raise RecipeError(f"--from {start}: nothing up to {until or FINAL} needs it")
    forced = set(matching(force)) if force else set()
    outside = forced - selected
    if outside:
        raise RecipeError(f"--force {force}: {', '.join(sorted(outside))} is not among the stages to run")
    return Selection(frozenset(selected), frozenset(forced))


def equal_but_for_sources(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two sets of components differ in nothing but the files outside the store."""
    return {**old, "sources": None} == {**new, "sources": None}


def made_from(artifact: Artifact) -> dict[str, str]:
    """sha256 by name of the files outside the store from which an artifact was made."""
    try:
        listed: dict[str, str] = json.loads((artifact.folder / SOURCES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return listed


def input_folders(status: Status, upstream: Mapping[str, Status]) -> dict[str, Path]:
    """Folders of the artifacts that a stage reads; a skipped stage has none."""
    artifacts = {name: upstream[name].artifact for name in status.needs}
    return {name: artifact.folder for name, artifact in artifacts.items() if artifact}
