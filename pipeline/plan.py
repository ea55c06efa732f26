"""The state of every stage, and why: computed from the recipe, the code and the store, never stored."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError, RecipeError
from pipeline.fingerprint import fingerprints
from pipeline.graph import BY_NAME, FINAL, STAGES, Stage, closure, matching
from pipeline.identity import SCHEMA, changes, config_identity, key_of, sources_identity
from pipeline.recipe import Recipe
from pipeline.stage import StageConfig
from pipeline.statcache import StatCache
from pipeline.store import Artifact, Store


class State(StrEnum):
    CURRENT = "current"
    STALE = "stale"
    MISSING = "missing"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"
    NOT_NEEDED = "not needed"


SETTLED = (State.CURRENT, State.SKIPPED)


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

    @property
    def digest(self) -> str | None:
        """Digest of the current artifact."""
        return self.artifact.digest if self.artifact else None

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
        self.code_cache = StatCache(store.home / "cache" / "code.json")
        self.file_cache = StatCache(store.home / "cache" / "files.json")

    def check(self, stages: Collection[str]) -> None:
        """Raise what is wrong with the configs of these stages, before the first of them runs for hours."""
        for name in stages:
            config = self.recipe.configs[name]
            self.modules[name].code(config)
            config_identity(config, self.file_cache, BY_NAME[name].kind)

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
        waiting = [name for name in needs if upstream[name].state not in SETTLED]
        last = self.store.last(self.recipe.name, stage.name)
        unavailable = self.unavailable(stage)
        if waiting and unavailable:
            return Status(stage, config, needs, State.SKIPPED, (unavailable,))
        if waiting:
            state = State.STALE if last else State.MISSING
            return Status(stage, config, needs, state, (f"waits for {', '.join(waiting)}",))
        try:
            components = self.components(stage, upstream)
        except PipelineError as error:
            return Status(stage, config, needs, State.MISSING, (str(error),), error=error)
        key = key_of(components)
        artifact = self.store.current(stage.kind, key)
        if artifact is not None:
            return Status(stage, config, needs, State.CURRENT, (), components, key, artifact)
        if unavailable:
            return Status(stage, config, needs, State.SKIPPED, (unavailable,), components, key)
        return Status(stage, config, needs, *self.absent(stage, key, components, last), components, key)

    def absent(
        self, stage: Stage, key: str, components: Mapping[str, Any], last: Artifact | None
    ) -> tuple[State, tuple[str, ...]]:
        """State and reasons of a stage that has no artifact under its key."""
        scratch = self.store.scratch(stage.kind, key)
        if scratch.is_dir() and any(scratch.iterdir()):
            return State.INTERRUPTED, ("goes on from its last checkpoint",)
        if last is None:
            return State.MISSING, ("never made for this recipe",)
        return State.STALE, tuple(changes(last.manifest["components"], components))

    def unavailable(self, stage: Stage) -> str | None:
        """Why this machine cannot run the stage, or None."""
        available = getattr(self.modules[stage.name], "available", None)
        return available(self.facts) if available else None

    def components(self, stage: Stage, upstream: Mapping[str, Status]) -> dict[str, Any]:
        """Everything that decides the stage's outputs, by name."""
        module, config = self.modules[stage.name], self.recipe.configs[stage.name]
        sources = getattr(module, "source_files", None)
        files = sources(config) if sources else {}
        return {
            "schema": SCHEMA,
            "stage": {"kind": stage.kind, "version": module.VERSION},
            "config": config_identity(config, self.file_cache, stage.kind),
            "sources": sources_identity(files, self.file_cache) if files else None,
            "choices": self.choices(stage.name),
            "code": fingerprints([stage.module, *self.chosen(stage.name)], self.code_cache),
            "inputs": {name: upstream[name].digest or "skipped" for name in self.needs[stage.name]},
            "environment": {name: self.facts[name] for name in getattr(module, "ENVIRONMENT", ())},
        }

    def chosen(self, name: str) -> set[str]:
        """Modules that this stage's config chose, and those of the stages whose artifacts it loads."""
        own = set(self.modules[name].code(self.recipe.configs[name]))
        return own.union(*(self.chosen(upstream) for upstream in self.needs[name]))

    def choices(self, name: str) -> dict[str, Any]:
        """What the names in this stage's config stand for, and in those of the stages whose artifacts it loads."""
        found: dict[str, Any] = {}
        for upstream in self.needs[name]:
            found |= self.choices(upstream)
        choices = getattr(self.modules[name], "choices", None)
        return {**found, BY_NAME[name].kind: choices(self.recipe.configs[name])} if choices else found

    def save_caches(self) -> None:
        """Keep fingerprints and file hashes for the next command."""
        self.code_cache.save()
        self.file_cache.save()


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


def input_folders(status: Status, upstream: Mapping[str, Status]) -> dict[str, Path]:
    """Folders of the artifacts that a stage reads; a skipped stage has none."""
    artifacts = {name: upstream[name].artifact for name in status.needs}
    return {name: artifact.folder for name, artifact in artifacts.items() if artifact}
