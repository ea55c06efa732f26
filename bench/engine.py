"""How quick the engine is where nothing has to be made: `status`, a run of current stages, a large data set rechecked.

The stores lie in a temporary folder and are published under the keys that the planner asks for, with a small file in
place of each trained network: what is measured is all that happens around a stage. Each figure is the median over
processes of their own, interpreter and imports included, with bytecode and the store's caches in place, as on a
second call.

    python -m bench.engine --json
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from bench.machine.environment import describe
from bench.program import program
from pipeline import recipe as recipes
from pipeline.facts import facts
from pipeline.graph import FINAL, STAGES, closure
from pipeline.identity.sources import COARSEST_CLOCK_NS
from pipeline.plan import SETTLED, Planner, Status
from pipeline.render import table
from pipeline.store.store import Artifact, Store

SCHEMA_VERSION = 1
RECIPE = "quickstart"
SMALL_STORE = 10
STATUS_TARGET_S, SMALL_RUN_TARGET_S, LARGE_RUN_TARGET_S, FILES_TARGET_S = 0.3, 0.5, 1.0, 2.0
HEAVY = ("torch", "onnx", "onnxruntime", "tensorrt", "numpy", "PIL")
"""Modules that `status` must not load."""
CLASSES = "id,name,r,g,b,ignore\n0,road,128,64,128,0\n1,sky,70,130,180,0\n"


@dataclass(frozen=True)
class Measurement:
    """Seconds of one command, over several processes."""

    name: str
    samples_s: Sequence[float]
    target_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Figures and samples as plain data."""
        median = statistics.median(self.samples_s)
        return {
            **asdict(self),
            "median_s": median,
            "min_s": min(self.samples_s),
            "max_s": max(self.samples_s),
            "n": len(self.samples_s),
            "within_target": None if self.target_s is None else median <= self.target_s,
        }


def build_store(home: Path, artifacts: int, settings: Sequence[str] = ()) -> None:
    """A store in which every stage that can run here is current, filled up to a number of artifacts."""
    planner = Planner(recipes.load(RECIPE, settings), Store(home), facts())
    statuses: dict[str, Status] = {}
    for stage in STAGES:
        status = planner.status(stage, statuses, needed=stage.name in closure((FINAL,), planner.needs))
        if status.key is not None and status.state not in SETTLED:
            publish(planner, status, statuses)
            status = planner.status(stage, statuses)
        statuses[stage.name] = status
    planner.save_caches()
    made = [status for status in statuses.values() if status.artifact]
    for number in range(artifacts - len(made)):
        status = made[number % len(made)]
        assert status.artifact is not None
        publish_copy(planner.store, status.artifact, number)


def publish(planner: Planner, status: Status, upstream: Mapping[str, Status]) -> None:
    """An artifact of one small file under the key that the planner asks for."""
    inputs = {name: upstream[name].artifact for name in status.needs}
    manifest = {
        "stage": status.stage.name,
        "kind": status.stage.kind,
        "key": status.key,
        "recipe": planner.recipe.name,
        "components": dict(status.components),
        "inputs": {name: {"key": made.key, "digest": made.digest} for name, made in inputs.items() if made},
        "summary": {},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": 0.0,
        "environment": {},
    }
    made = publish_file(planner.store, manifest, status.stage.name)
    planner.store.remember(planner.recipe.name, status.stage.name, made)


def publish_copy(store: Store, artifact: Artifact, number: int) -> None:
    """The artifact once more under another key: one of many that earlier settings left."""
    publish_file(store, {**artifact.manifest, "key": sha256(str(number).encode()).hexdigest()}, str(number))


def publish_file(store: Store, manifest: dict[str, Any], content: str) -> Artifact:
    """An artifact with one small file."""
    work = store.new_work_folder()
    (work / "model.txt").write_text(content)
    return store.publish(work, manifest, ())


def build_data_set(root: Path, files: int) -> None:
    """A data set in the `folder` layout with so many images and labels: small files, never decoded here."""
    for top in ("images", "labels"):
        (root / top).mkdir(parents=True)
        for number in range(files // 2):
            (root / top / f"{number:06}.png").write_text(f"{top} {number}")
    (root / "classes.csv").write_text(CLASSES)


class Bench:
    """Times the command line in processes of their own."""

    def __init__(self, folder: Path, repeats: int) -> None:
        self.repeats = repeats
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.environment = {**kept, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}

    def call(self, *command: str) -> tuple[float, str]:
        """Seconds of one Python process, and what it printed."""
        began = time.perf_counter()
        done = subprocess.run([sys.executable, *command], env=self.environment, capture_output=True, text=True)
        seconds = time.perf_counter() - began
        if done.returncode:
            raise click.ClickException(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
        return seconds, done.stdout

    def measure(self, name: str, *command: str, target_s: float | None = None) -> Measurement:
        """The command's time after one call that fills the caches."""
        self.call(*command)
        measurement = Measurement(name, [self.call(*command)[0] for _ in range(self.repeats)], target_s)
        click.echo(f"{name}: {statistics.median(measurement.samples_s):.3f} s", err=True)
        return measurement

    def pipeline(self, name: str, verb: str, home: Path, *settings: str, target_s: float | None = None) -> Measurement:
        """A verb on a store."""
        words = [word for setting in settings for word in ("--set", setting)]
        return self.measure(name, "-m", "pipeline", verb, "--home", str(home), *words, "--json", target_s=target_s)

    def loaded_by_status(self, home: Path) -> list[str]:
        """Which of the heavy modules `status` loads: none, if all is well."""
        code = (
            "import sys; from pipeline.cli import main\n"
            f"sys.argv = ['pipeline', 'status', '--home', {str(home)!r}]\n"
            "main()\n"
            f"print('\\n' + ' '.join(sorted(set({HEAVY!r}) & set(sys.modules))))"
        )
        return self.call("-c", code)[1].splitlines()[-1].split()


def measure_stores(bench: Bench, folder: Path, artifacts: int) -> list[Measurement]:
    """`status` and a run with nothing to do, on a small store and on a large one."""
    small, large = folder / "small", folder / "large"
    build_store(small, SMALL_STORE)
    build_store(large, artifacts)
    run = "run, nothing to do, {:,} artifacts"
    return [
        bench.measure("interpreter alone", "-c", "pass"),
        bench.pipeline(f"status, {SMALL_STORE} artifacts", "status", small, target_s=STATUS_TARGET_S),
        bench.pipeline(f"status, {artifacts:,} artifacts", "status", large, target_s=STATUS_TARGET_S),
        bench.pipeline(run.format(SMALL_STORE), "run", small, target_s=SMALL_RUN_TARGET_S),
        bench.pipeline(run.format(artifacts), "run", large, target_s=LARGE_RUN_TARGET_S),
    ]


def measure_files(bench: Bench, folder: Path, files: int) -> list[Measurement]:
    """A data set read for the first time, then rechecked: the digest over its files alone, and within `status`."""
    root, home = folder / "set", folder / "files"
    build_data_set(root, files)
    settings = ("data.source=folder", f"data.root={root}")
    time.sleep(COARSEST_CLOCK_NS / 1e9)
    first, _ = timed(lambda: build_store(home, 0, settings))
    code = (
        "from pathlib import Path; from pipeline.identity.sources import SourceCache\n"
        "from stages.datasets.layout import files_below\n"
        f"SourceCache(Path({str(home / 'cache')!r})).identity(files_below(Path({str(root)!r})))"
    )
    return [
        Measurement(f"{files:,} files, read for the first time", [first]),
        bench.measure(f"{files:,} files rechecked", "-c", code, target_s=FILES_TARGET_S),
        bench.pipeline(f"status, {files:,} files rechecked", "status", home, *settings, target_s=FILES_TARGET_S),
    ]


def timed(call: Callable[[], object]) -> tuple[float, object]:
    """Seconds of a call, and its result."""
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def report(repeats: int, artifacts: int, files: int, parent: Path | None) -> dict[str, Any]:
    """All measurements with the machine on which they were made."""
    with TemporaryDirectory(prefix="bench-engine-", dir=parent) as text:
        folder = Path(text)
        bench = Bench(folder, repeats)
        measurements = [*measure_stores(bench, folder, artifacts), *measure_files(bench, folder, files)]
        loaded = bench.loaded_by_status(folder / "small")
    return {
        "schema_version": SCHEMA_VERSION,
        "measurements": [each.to_json() for each in measurements],
        "heavy_modules_in_status": loaded,
        "environment": describe(),
    }


def text_of(found: Mapping[str, Any]) -> str:
    """The measurements as a table."""
    head = ("measured", "median", "least", "most", "n", "target")
    rows = [
        (
            row["name"],
            *(f"{row[name]:.3f} s" for name in ("median_s", "min_s", "max_s")),
            str(row["n"]),
            "-" if row["target_s"] is None else f"{row['target_s']} s {'met' if row['within_target'] else 'MISSED'}",
        )
        for row in found["measurements"]
    ]
    cpu = found["environment"]["cpu"]
    loaded = ", ".join(found["heavy_modules_in_status"]) or "none"
    machine = f"{cpu['model']}, {cpu['usable_cores']} cores, load {cpu['load_average']}"
    return "\n".join([table(head, rows), "", f"heavy modules loaded by status: {loaded}", machine])


@click.command()
@click.option("--repeats", type=click.IntRange(min=1), default=9, show_default=True, help="Processes for each figure.")
@click.option("--artifacts", type=click.IntRange(min=1), default=1000, show_default=True, help="In the large store.")
@click.option("--files", type=click.IntRange(min=2), default=100_000, show_default=True, help="In the data set.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Where to build stores.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(repeats: int, artifacts: int, files: int, folder: Path | None, as_json: bool) -> None:
    """Measure the engine's own time, on stores that are built in a temporary folder and removed again."""
    found = report(repeats, artifacts, files, folder)
    click.echo(json.dumps(found) if as_json else text_of(found))


main = program(command)

if __name__ == "__main__":
    sys.exit(main())
