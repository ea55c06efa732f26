"""Peak memory of each inference that was measured, in a process of its own once the turns are over."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.latency.jobs import Job
from bench.latency.runtimes import RUNTIMES, Setting
from bench.machine.memory import MemoryUnknown, Request, add_peak, measure_peak


def add_peaks(measured: Iterable[tuple[Job, dict[str, Any]]], setting: Setting, on_done: Callable[[str], None]) -> None:
    """Fills in `peak_mib` of the rows that have figures of an inference, or a warning that says why there is none."""
    for job, row in measured:
        if row["status"] == "ok" and job.quantity == "inference":
            add_peak(row, partial(peak_of, job, setting))
            on_done(f"{job.name}: peak memory")


def peak_of(job: Job, setting: Setting) -> float:
    """MiB at the peak of a model that is loaded alone and infers with what was measured; MemoryUnknown says why not."""
    unweighed = RUNTIMES[job.runtime].opener.unweighed
    if unweighed:
        raise MemoryUnknown(unweighed)
    with TemporaryDirectory() as folder:
        return measure_peak(request_of(job, setting, Path(folder)))


def request_of(job: Job, setting: Setting, folder: Path) -> Request:
    """How a process of its own opens the job's model; the inputs of an ONNX file are written into the folder for it."""
    kind = RUNTIMES[job.runtime]
    arguments = kind.opener.arguments(job.model, job.batch or 1, job.size_px, setting)
    feeds = written(job, folder) if kind.runs == "onnx" else None
    shape = () if feeds is not None else next(iter(job.arrays.values())).shape
    return Request(kind.opener.function, arguments, shape, kind.place(setting), kind.opener.imports, feeds)


def written(job: Job, folder: Path) -> dict[str, str]:
    """Path of each input's file by the input's name, which may be no name of a file."""
    paths = {name: folder / f"{index}.npy" for index, name in enumerate(job.arrays)}
    for name, path in paths.items():
        np.save(path, job.arrays[name], allow_pickle=False)
    return {name: str(path) for name, path in paths.items()}
