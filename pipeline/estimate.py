"""What a stage would cost on this machine, and what it cost the last time that it was made."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from pipeline.graph import BY_NAME
from pipeline.identity.keys import machine_settings
from pipeline.plan import Planner, Status
from pipeline.rehearsals import Answer, Rehearsals
from pipeline.stage import StageConfig
from pipeline.store.inventory import created, size_bytes
from pipeline.store.store import Artifact, Store


@dataclass(frozen=True)
class Last:
    """What the last artifact of a stage cost."""

    seconds: float
    bytes: int
    recipe: str
    """The recipe for which it was made."""
    digest: str

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"seconds": self.seconds, "bytes": self.bytes, "recipe": self.recipe, "digest": self.digest}


@dataclass(frozen=True)
class Estimate:
    """What making a stage would cost; None where that cannot be told, and `why`."""

    seconds: float | None = None
    peak_mib: float | None = None
    """Memory of the process, loader's processes apart; on a GPU what torch's allocator would hold of the GPU's."""
    bytes: int | None = None
    """Of the artifact."""
    scratch_bytes: int = 0
    """Of what lies on the disk beside it while the stage runs."""
    why: str = ""
    """Why nothing is known."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Machine:
    """Where a stage would run, and how its estimator measures there."""

    device: str
    """`cpu` or `cuda`."""
    cores: int
    settings: Mapping[str, Any]
    """Machine settings by dotted name, e.g. `data.root`."""
    inputs: Mapping[str, Path]
    """Folders of the stage's inputs that are current."""
    rehearsals: Rehearsals
    code: Mapping[str, str]
    """Fingerprints of the stage's code: another code is measured anew."""

    def ask(
        self,
        what: str,
        question: Mapping[str, Any],
        measure: Callable[[], Answer],
        modules: Collection[str] | None = None,
    ) -> Answer:
        """`Rehearsals.ask` about the code of these modules, by default all of the stage's."""
        code = self.code if modules is None else {name: self.code.get(name) for name in sorted(modules)}
        return self.rehearsals.ask(what, {**question, "device": self.device, "code": code}, measure)


class Estimator(Protocol):
    """What the module that a stage names as its estimator offers; heavy imports within."""

    def estimate(self, config: StageConfig, configs: Mapping[str, StageConfig], machine: Machine) -> Estimate:
        """The cost of the stage; `configs` are those of all stages."""


def estimates(planner: Planner, statuses: Mapping[str, Status], say: Callable[[str], None]) -> dict[str, Estimate]:
    """The cost of each of these stages, by name; measured for a few seconds where this machine has not been asked."""
    rehearsals = Rehearsals(planner.store.home / "cache" / "rehearsals.json", planner.facts, say)
    current = {name: status.artifact.folder for name, status in planner.statuses().items() if status.artifact}
    return {name: estimate(planner, status, current, rehearsals) for name, status in statuses.items()}


def estimate(planner: Planner, status: Status, current: Mapping[str, Path], rehearsals: Rehearsals) -> Estimate:
    """The cost of one stage; whatever goes wrong while it is measured is why it is not known."""
    stage, configs = status.stage, planner.recipe.configs
    if not stage.estimator:
        return Estimate(why="nothing measures it short of doing it")
    machine = Machine(
        device=planner.facts["device"],
        cores=planner.facts["cores"],
        settings=machine_settings(configs),
        inputs={name: current[name] for name in status.needs if name in current},
        rehearsals=rehearsals,
        code=status.components.get("code", {}),
    )
    estimator: Estimator = import_module(stage.estimator)  # type: ignore[assignment]
    try:
        return estimator.estimate(status.config, configs, machine)
    # A dry run ends with its table even where a network cannot be built or the memory does not suffice.
    except Exception as error:
        return Estimate(why=(str(error).strip().splitlines() or [type(error).__name__])[0])


def last_costs(planner: Planner, stages: Collection[str]) -> dict[str, Last | None]:
    """`last_made` of each of these stages."""
    return {name: last_made(planner.store, planner.recipe.name, name) for name in stages}


def last_made(store: Store, recipe: str, stage: str) -> Last | None:
    """Of the artifact made last for this stage of this recipe, otherwise of the newest of its kind."""
    artifact = store.last(recipe, stage) or newest(store.artifacts(BY_NAME[stage].kind))
    if artifact is None:
        return None
    manifest = artifact.manifest
    return Last(float(manifest["seconds"]), size_bytes(artifact), str(manifest["recipe"]), artifact.digest)


def newest(artifacts: Iterable[Artifact]) -> Artifact | None:
    """The artifact that was made last."""
    return max(artifacts, key=created, default=None)
