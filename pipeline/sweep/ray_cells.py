"""A sweep's cells as Ray tasks: what cells share is made first, on this machine; each task then makes its own cell.

Every machine works in one home on a shared file system, and has this package installed in the driver's version; a task
that sees another home or other code says so and makes nothing.
"""

import os
import platform
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline import recipe as recipes
from pipeline.errors import PipelineError
from pipeline.facts import facts
from pipeline.plan import Planner
from pipeline.store.store import Store
from pipeline.sweep.running import run_cell, selection_of

ANY = "any"
"""Address of the cluster of RAY_ADDRESS, of one that runs on this machine, or else of a new one on it alone."""
CONNECT_S = 5.0
CODE = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Job:
    """What a task must know to make a cell."""

    cell: str
    recipe: str
    """Path of the recipe's file."""
    name: str
    """Name of the cell's recipe in the store."""
    settings: tuple[str, ...]
    until: str
    device: str
    home: str
    """Folder of the store."""
    proof: str
    """A file of the sweep that is in that folder."""
    key: str | None
    """Key of the student as the driver computes it, where it can."""


def run_on_ray(jobs: Sequence[Job], address: str, cpus: int, done: Callable[[str, str | None], None]) -> None:
    """Make every job's cell on the cluster at `address`, each on `cpus` cores, and on a GPU where there are any.

    `done(cell, error)` is called as each one ends.
    """
    ray = start(address)
    gpus = 1 if ray.cluster_resources().get("GPU") else 0
    task = ray.remote(num_cpus=cpus, num_gpus=gpus)(make_cell)
    waiting = {task.remote(job): job for job in jobs}
    try:
        while waiting:
            (ready,), _ = ray.wait(list(waiting), num_returns=1)
            done(waiting.pop(ready).cell, outcome(ray, ready))
    finally:
        ray.shutdown()


def outcome(ray: Any, task: Any) -> str | None:
    """What a finished task returned: its cell's error or None; or why the task itself died."""
    try:
        error: str | None = ray.get(task)
    except ray.exceptions.RayError as died:
        return f"{type(died).__name__}: {' '.join(str(died).split())}"
    return error


def start(address: str) -> Any:
    """The connected `ray` module; PipelineError where it is not installed or there is no cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise PipelineError("--ray needs Ray: pip install -e '.[ray]'") from error
    check_listens(address)
    paths = [str(CODE), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}}
    try:
        ray.init(address=None if address == ANY else address, include_dashboard=False, runtime_env=environment)
    except (ConnectionError, ValueError) as error:
        raise PipelineError(f"--ray {address}: {' '.join(str(error).split())}") from error
    return ray


def check_listens(address: str) -> None:
    """PipelineError where nothing answers at `host:port`: Ray itself would try again for many minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "/" in host:
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except OSError as error:
        raise PipelineError(f"--ray {address}: no cluster answers there: {error.strerror or error}") from error


def make_cell(job: Job) -> str | None:
    """Bring a cell up to date in this process; its error, or None."""
    host = platform.node()
    if not Path(job.proof).is_file():
        return f"{host} does not see {job.home}: put --home on a file system that all machines share"
    recipe = replace(recipes.load(job.recipe, job.settings), name=job.name)
    planner = Planner(recipe, Store(Path(job.home)), facts(job.device))
    if job.key and planner.statuses()["distill"].key != job.key:
        return f"{host} computes another key for {job.cell}: install the same version of the code there"

    def say(line: str) -> None:
        print(f"{job.cell}: {line}", file=sys.stderr, flush=True)

    return run_cell(planner, selection_of(planner, job.until), job.cell, {}, say)
