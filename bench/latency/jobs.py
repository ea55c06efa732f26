"""From models, runtimes and shapes to candidates: one job for each row of the table."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.latency.models import WORDS, Model
from bench.latency.runtimes import RUNTIMES, Setting
from bench.latency.shapes import IMAGE_RANK, Ask, declared, declared_by_engine, feeds
from bench.turns.opened import Opened
from bench.turns.timing import Call, Candidate, Row, failed, reason, skipped
from export.runtimes.protocol import TensorSpec
from pipeline.errors import NetworkError

Quantity = Literal["inference", "device", "pipeline"]
"""`inference`: from arrays in host memory to results there. `device`: inputs and results stay on the GPU. `pipeline`:
from a picture's file to labels of its size."""
SECOND_QUANTITY = {"onnxruntime-cuda": "device"}


@dataclass
class Job:
    """One row: what is measured, and the candidate, or the row of one that cannot run."""

    model: Model
    runtime: str
    quantity: Quantity = "inference"
    batch: int | None = None
    size_px: tuple[int, int] | None = None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    """What goes in, by name."""
    candidate: Candidate | None = None
    row: Row | None = None
    opened: Opened | None = None

    @property
    def name(self) -> str:
        """`student.fp32.labels onnxruntime`, then what differs from one image and from an inference alone."""
        batch = f" batch {self.batch}" if (self.batch or 1) != 1 else ""
        size = f" {self.size_px[0]}x{self.size_px[1]}" if self.size_px else ""
        quantity = "" if self.quantity == "inference" else f" {self.quantity}"
        return f"{self.model.name} {self.runtime}{size}{batch}{quantity}"


@dataclass(frozen=True)
class Wanted:
    """What a command line asks for beside the models."""

    runtimes: tuple[str, ...]
    """Empty for every one that can run the model here."""
    setting: Setting
    picture: Path | None
    """Where it is a picture's file, the way from it to labels is measured as well."""
    memory: bool = True
    """Whether the peak memory of each inference is measured."""


def jobs_of(model: Model, ask: Ask, wanted: Wanted, facts: Mapping[str, Any], stack: ExitStack) -> list[Job]:
    """The rows of one model at one batch and size; what cannot be measured is a row that says why."""
    found = []
    for runtime in wanted.runtimes or [name for name, kind in RUNTIMES.items() if kind.runs == model.kind]:
        job = Job(model, runtime, batch=ask.batch, size_px=ask.size_px)
        job.row = refused(job, wanted, facts)
        found += [job] if job.row else prepared(job, ask, wanted, stack)
    return found


def refused(job: Job, wanted: Wanted, facts: Mapping[str, Any]) -> Row | None:
    """The row of a runtime that does not run such a model (skipped), or is not here (failed if it was asked for)."""
    kind = RUNTIMES[job.runtime]
    if kind.runs != job.model.kind:
        return skipped(job.name, f"{job.runtime} runs {WORDS[kind.runs]}, this is {WORDS[job.model.kind]}")
    lacks = kind.lacks(facts)
    if lacks is None:
        return None
    return (failed if wanted.runtimes else skipped)(job.name, lacks)


def prepared(job: Job, ask: Ask, wanted: Wanted, stack: ExitStack) -> list[Job]:
    """The job with its candidate, and the further quantities that can be told; one failed where no input fits, or the
    runtime's library cannot be imported."""
    model = job.model
    try:
        arrays = inputs(model, ask)
        batch, size_px = images_in(arrays), ask.size_px or own_size(model)
        load = RUNTIMES[job.runtime].opener.ready(model, batch, size_px, wanted.setting)
    except Exception as error:
        # Libraries raise what they like as they are imported.
        return [replace(job, row=failed(job.name, reason(error)))]
    job = replace(job, batch=batch, size_px=size_px, arrays=arrays, opened=Opened(load, stack))
    found = [with_candidate(job, lambda opened: inference(opened, arrays))]
    if job.runtime in SECOND_QUANTITY:
        found.append(with_candidate(replace(job, quantity="device"), lambda opened: opened().bound(arrays)))
    if wanted.picture is not None:
        found.append(pipeline_job(job, wanted.picture))
    return found


def images_in(arrays: Mapping[str, np.ndarray]) -> int:
    """The batch: the first axis of the first input of four axes, or else of the first input; 1 where there is none."""
    found = [array for array in arrays.values() if array.ndim == IMAGE_RANK] or list(arrays.values())
    return found[0].shape[0] if found and found[0].ndim else 1


def with_candidate(job: Job, call_of: Callable[[Opened], Call]) -> Job:
    """The job with a candidate that opens the model and makes the call; it is loaded anew with its inference."""
    opened = job.opened
    assert opened is not None, "a job is given a way to open its model first"

    def load() -> Call:
        opened()
        return call_of(opened)

    reload = opened.again if job.quantity == "inference" and RUNTIMES[job.runtime].reloads else None
    return replace(job, candidate=Candidate(job.name, load, reload))


def inference(opened: Opened, arrays: Mapping[str, np.ndarray]) -> Call:
    """One inference from host memory to host memory."""
    if hasattr(opened(), "run"):
        return lambda: opened().run(arrays)
    (images_NHWC,) = arrays.values()
    return lambda: opened().predict(images_NHWC)


def pipeline_job(job: Job, picture: Path) -> Job:
    """From the picture's file to its labels, one picture at a time; a row that says why where that is not known."""
    from export.deploy.infer import segment
    from export.deploy.pictures import read

    job = replace(job, quantity="pipeline")
    preprocess = job.model.preprocess
    if preprocess is None:
        return replace(job, row=skipped(job.name, "nothing beside the model says how a picture becomes its input"))
    if job.batch != 1:
        return replace(job, row=skipped(job.name, "a picture is read and brought back one at a time: batch 1 alone"))
    if job.size_px:
        preprocess = replace(preprocess, height=job.size_px[0], width=job.size_px[1])
    at_size = preprocess
    return with_candidate(job, lambda opened: lambda: segment(opened(), read(picture), at_size))


def inputs(model: Model, ask: Ask) -> dict[str, np.ndarray]:
    """Random arrays for a model's inputs; NetworkError where they cannot be as was asked."""
    if model.kind == "network":
        size_px = ask.size_px or own_size(model)
        if size_px is None:
            raise NetworkError(f"{model.path} has no preprocess.json that tells its size: give --size HEIGHTxWIDTH")
        return feeds([TensorSpec("images", "uint8", ("batch", *size_px, 3))], ask)
    return feeds(specs_of(model), ask)


def specs_of(model: Model) -> tuple[TensorSpec, ...]:
    """The inputs that a file declares; NetworkError where it cannot be read."""
    return declared(model.path) if model.kind == "onnx" else declared_by_engine(model.path)


def free_axes(model: Model) -> set[str]:
    """Names of a file's free axes; of a trained network, or of what cannot be read, none."""
    try:
        specs = () if model.kind == "network" else specs_of(model)
    except NetworkError:
        return set()
    return {axis for spec in specs for axis in spec.shape if isinstance(axis, str) and axis != "?"}


def own_size(model: Model) -> tuple[int, int] | None:
    """Height and width that a trained network was made for; a file's stand in its shapes."""
    if model.kind != "network" or model.preprocess is None:
        return None
    return model.preprocess.height, model.preprocess.width
