"""What a stage is: the contract between the engine and the modules that do the work.

A stage module has no torch at import and offers

    VERSION: int                                            bumped when the same code should give new artifacts
    Config(StageConfig)                                     its part of the recipe
    needs(config) -> tuple[str, ...]                        the upstream stages that it reads
    code(config) -> tuple[str, ...]                         dotted modules that the config chose
    run(ctx, inputs, config) -> Outputs                     reads `inputs`, writes files into `ctx.work`

and may offer

    rehearse(config, configs, device)                       raises, before the first stage of a command runs, what can
                                                            be known to go wrong on `cpu` or `cuda`; `configs` are
                                                            those of all stages
    inspect(config, inputs)                                 raises, before any stage of a command runs, what the inputs
                                                            that are there by then tell will go wrong: where the data
                                                            has not what it asks for, before a teacher is trained
    choices(config) -> dict[str, Any]                       what names in the config stand for, where a table of data
                                                            says so (a network's entry in its catalogue): in the key
    loading(config) -> tuple[str, ...]                      dotted modules that run wherever its artifact is loaded
    source_files(config) -> dict[str, str]                  files outside the store that it reads, path by relative
                                                            name
    available(facts) -> str | None                          why it cannot run on this machine, or None
    figures(folder) -> dict[str, dict[str, float]]          tables of figures in the files of its artifact, beyond
                                                            metrics.json: what `diff` sets side by side
    DISTRIBUTED: bool                                       whether every process of a torchrun calls `run`, each with
                                                            its `ctx.group`; what those but rank 0 write is thrown
                                                            away. Without it, rank 0 alone calls it, as if alone

What a stage would cost is told by the module that pipeline/graph.py names as its estimator (pipeline/estimate.py).
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from pipeline.group.ranks import ALONE, Group


class Mark(Enum):
    """How a config field enters the key: `root: Annotated[Path | None, Mark.MACHINE] = None`."""

    MACHINE = "machine"
    """A setting of this machine (a data root): outside the key, given to every stage in `ctx.settings`."""
    CONTENT = "content"
    """A path whose file counts by its sha256, never by its name."""
    NEUTRAL = "neutral"
    """Does not change the result (workers, log interval): outside the key."""


@dataclass(frozen=True)
class AbsentAt:
    """Marks a field that was added later: at `value`, what was made before the field existed stays current."""

    value: Any


class StageConfig(BaseModel):
    """Base of every part of a recipe: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ProgressBar(Protocol):
    """Shows how far a loop has come."""

    def step(self, images: int, terms: Mapping[str, float]) -> None:
        """One iteration is done: `images` were seen, `terms` holds the current value of each loss term."""


@dataclass(frozen=True)
class Context:
    """What the engine gives to a running stage."""

    work: Path
    """Empty folder; what is written here becomes the artifact."""
    scratch: Path
    """Folder that survives an interruption and is emptied once the artifact is published."""
    device: str
    """`cpu` or `cuda`."""
    settings: Mapping[str, Any]
    """Machine settings by dotted name, e.g. `data.root`."""
    log: Callable[[str], None]
    """Prints one line and keeps it in the artifact's log."""
    progress: Callable[[str, int, int], AbstractContextManager[ProgressBar]]
    """`with ctx.progress(title, total_iterations, done_before) as bar: bar.step(images, terms)`."""
    cache: Path | None = None
    """Folder for what can be made again, shared by stages and runs; it may be deleted between them."""
    group: Group = ALONE
    """The processes that run the stage together."""


@dataclass(frozen=True)
class Outputs:
    """What a stage says of its artifact."""

    summary: Mapping[str, float | int | str] = field(default_factory=dict)
    """A few figures for `show` and the run's closing table."""
    failures: tuple[str, ...] = ()
    """What was asked for and could not be published, each with the reason; the rest is, and `run` ends with code 1."""
    volatile: tuple[str, ...] = ()
    """Names of files that differ between equal runs (timings): outside the digest."""
