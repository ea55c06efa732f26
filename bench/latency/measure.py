"""Every model in every runtime at every shape, as plain data."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

from bench.latency.jobs import Job, Wanted, jobs_of
from bench.latency.memory import add_peaks
from bench.latency.models import Model
from bench.latency.runtimes import RUNTIMES, Setting
from bench.latency.shapes import Ask
from bench.machine.watch import Watch
from bench.turns.gpu_times import GpuPart, gpu_part
from bench.turns.ratio import paired_ratio
from bench.turns.timing import INTERRUPTED, Schedule, failed, measure
from export.sidecar import sha256
from pipeline.signals import HeldBack

Say = Callable[[str], None]


@dataclass
class Found:
    """What was measured, to its end or until Ctrl-C."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    ratios: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False

    def interrupt(self) -> None:
        """Nothing more is measured."""
        self.interrupted = True

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Ctrl-C within waits for the end of the block, lest what was measured before it is lost."""
        with HeldBack() as ctrl_c:
            yield
        self.interrupted |= ctrl_c.asked is not None


def measure_all(
    models: Sequence[Model],
    asks: Sequence[Ask],
    wanted: Wanted,
    schedule: Schedule,
    facts: Mapping[str, Any],
    on_done: Say,
    watch: Watch,
) -> Found:
    """The candidates of one batch and size take turns and are then opened alone for their memory, then those of the
    next.

    Ctrl-C ends that: what was finished is told, and the rows that were not yet measured are `failed`.
    """
    digests = {model.path: sha256(model.file) for model in models}
    found = Found()
    for ask in asks:
        with ExitStack() as stack:
            with found.held_back():
                jobs = [job for model in models for job in jobs_of(model, ask, wanted, facts, stack)]
            take_turns(jobs, schedule, on_done, watch, found)
            with found.held_back():
                parts = [GpuPart() if found.interrupted else on_gpu(job) for job in jobs]
            rows = [
                described(job, part, wanted.setting, digests[job.model.path], watch)
                for job, part in zip(jobs, parts, strict=True)
            ]
            found.rows += rows
            found.ratios += ratios_of(jobs)
        if wanted.memory and not found.interrupted:
            try:
                add_peaks(zip(jobs, rows, strict=True), wanted.setting, on_done)
            except KeyboardInterrupt:
                found.interrupt()
    return found


def take_turns(jobs: Sequence[Job], schedule: Schedule, on_done: Say, watch: Watch, found: Found) -> None:
    """Fills in the rows of the jobs that have a candidate."""
    waiting = [job for job in jobs if job.candidate is not None]
    candidates = [job.candidate for job in waiting if job.candidate is not None]
    if found.interrupted:
        rows = [failed(job.name, INTERRUPTED) for job in waiting]
    elif candidates:
        rows = measure(
            candidates,
            schedule,
            on_done=on_done,
            during=watch.turn,
            long_turn=watch.long_turn,
            on_interrupt=found.interrupt,
        )
    else:
        rows = []
    for job, row in zip(waiting, rows, strict=True):
        job.row = row


def described(job: Job, part: GpuPart, setting: Setting, digest: str, watch: Watch) -> dict[str, Any]:
    """A row as plain data: figures, samples, and what they belong to."""
    assert job.row is not None, "every job has a row once the turns are over"
    plain = job.row.to_json(job.batch or 1)
    if job.quantity != "inference":
        # The model was loaded once, for the inference.
        plain["load_ms"] = None
    device = RUNTIMES[job.runtime].place(setting)
    plain["warnings"] += part.warnings
    return {
        **plain,
        "model": job.model.name,
        "asked": job.model.asked,
        "runtime": job.runtime,
        "version": job.opened.found.name if job.opened and job.opened.found else None,
        "device": device,
        "quantity": job.quantity,
        "batch": job.batch,
        "size_px": list(job.size_px) if job.size_px else None,
        "inputs": {name: list(array.shape) for name, array in job.arrays.items()},
        "file": job.model.file.name,
        "sha256": digest,
        "energy_j": watch.energy_j(plain, job.batch or 1, device),
        "peak_mib": None,
        **part.times,
    }


def on_gpu(job: Job) -> GpuPart:
    """Where the time of an engine's inference goes; nothing for what cannot tell, or was not measured."""
    measured = job.row is not None and job.row.status == "ok"
    if job.model.kind != "engine" or job.quantity != "inference" or not measured or job.opened is None:
        return GpuPart()
    (images_NHWC,) = job.arrays.values()
    return gpu_part(job.opened, images_NHWC)


def ratios_of(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Ratios of what took turns: two models in one runtime, or one model in two, of the same quantity."""
    ok = [job for job in jobs if job.row is not None and job.row.status == "ok"]
    return [
        asdict(paired_ratio(one.row, other.row))
        for one, other in combinations(ok, 2)
        if one.row and other.row and one.quantity == other.quantity
        and (one.runtime == other.runtime) != (one.model.path == other.model.path)
    ]  # fmt: skip
