"""The recipe: whether its settings hold on this machine, and whether its data is here."""

from collections.abc import Iterator

from pipeline.doctor.finding import Finding, Level
from pipeline.errors import PipelineError
from pipeline.graph import FINAL, closure
from pipeline.plan import Planner


def examine(planner: Planner) -> Iterator[Finding]:
    """Configs and the files that they name, then the data of every stage that reads any."""
    name = f"recipe {planner.recipe.name}"
    try:
        planner.check(closure((FINAL,), planner.needs))
        yield Finding(name, Level.OK, "every setting holds and every file that it names is here")
    except PipelineError as error:
        yield Finding(name, Level.MISSING, str(error), "mend the recipe, or give --set")
    for stage, module in planner.modules.items():
        if hasattr(module, "source_files"):
            yield sources(planner, stage)


def sources(planner: Planner, stage: str) -> Finding:
    """The files outside the store that a stage reads."""
    try:
        files = planner.modules[stage].source_files(planner.recipe.configs[stage])
    except PipelineError as error:
        return Finding(f"{stage}'s files", Level.MISSING, str(error), "where its artifact is in the store, that stands")
    found = f"{len(files)} files" if files else "this recipe reads none"
    return Finding(f"{stage}'s files", Level.OK, found)
