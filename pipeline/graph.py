"""The stages in the order in which they run, and how a name on the command line selects some of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any

from pipeline.errors import RecipeError
from pipeline.nearest import nearest


@dataclass(frozen=True)
class Stage:
    """One node: `name` on the command line, `module` that does the work, `section` of the recipe that it reads."""

    name: str
    module: str
    section: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Fields that replace the section's own."""
    estimator: str = ""
    """Dotted module that says what the stage would cost, or none. Not named by the stage's own module: how costs are
    guessed is no part of what makes an artifact."""

    def load(self) -> ModuleType:
        """Import the stage's module, which must be cheap: no torch before `run`."""
        return import_module(self.module)

    @property
    def kind(self) -> str:
        """Folder of the store: stages that share module and section share artifacts."""
        return self.section or self.name


TRAINING_COST = "stages.estimates.training"
STAGES = (
    Stage("data", "stages.data", estimator="stages.estimates.data"),
    Stage("teacher", "stages.teacher", estimator=TRAINING_COST),
    Stage("position", "stages.position", estimator="stages.estimates.position"),
    Stage("distill", "stages.distill", estimator=TRAINING_COST),
    Stage("baseline", "stages.distill", "distill", {"method": "none", "terms": {}}, TRAINING_COST),
    Stage("export.onnx", "export.onnx", estimator="export.estimate"),
    Stage("export.tensorrt", "export.tensorrt"),
    Stage("bench", "bench.stage", estimator="bench.estimate"),
)
NAMES = tuple(stage.name for stage in STAGES)
BY_NAME = {stage.name: stage for stage in STAGES}
FINAL = "bench"


def matching(prefix: str) -> tuple[str, ...]:
    """Stages that `prefix` names: the stage itself, or every stage below it (`export` -> `export.onnx`, ...)."""
    found = tuple(name for name in NAMES if name == prefix or name.startswith(prefix + "."))
    if not found:
        raise RecipeError(f"no stage {prefix!r}: {nearest(prefix, (*NAMES, 'export'))}")
    return found


def closure(targets: tuple[str, ...], needs: Mapping[str, tuple[str, ...]]) -> set[str]:
    """The targets and everything upstream of them."""
    found: set[str] = set()
    waiting = list(targets)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(needs[name])
    return found
