"""Where the time of an inference on a GPU goes, and what is suspicious about it. It travels: numpy alone, Python 3.10.

The checks are those of NVIDIA's trtexec: a GPU that waits for the CPU, or for copies, is not what was measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from bench.turns.timing import STEADY_CV, reason, statistics
from export.runtimes.protocol import GpuTimes, Runtime

SAMPLES = 100
ENQUEUE_SHARE = 0.8
"""Of the compute time; above it the CPU's queueing may be what limits."""


@dataclass(frozen=True)
class GpuPart:
    """What a row has more of where its runtime tells the GPU's own times."""

    times: dict[str, Any] = field(default_factory=dict)
    """Of `gpu_times`."""
    warnings: list[str] = field(default_factory=list)
    """Why to read them with care, or why they are missing."""


def gpu_part(opened: Callable[[], Runtime], images_NHWC: np.ndarray) -> GpuPart:
    """The GPU's own times of a model whose latency was measured, which stands whatever happens here."""
    try:
        times = gpu_times(opened(), images_NHWC)
        return GpuPart(times, gpu_warnings(times))
    except Exception as error:
        return GpuPart(warnings=[f"the GPU's own times are missing: {reason(error)}"])


def gpu_times(runtime: Runtime, images_NHWC: np.ndarray) -> dict[str, Any]:
    """`{compute_ms: statistics, enqueue_ms: ..., to_device_ms: ..., to_host_ms: ...}` of `SAMPLES` inferences.

    Empty for a runtime that cannot tell them apart.
    """
    timed = getattr(runtime, "timed", None)
    if timed is None:
        return {}
    samples: list[GpuTimes] = [timed(images_NHWC)[1] for _ in range(SAMPLES)]
    names = [field.name for field in fields(GpuTimes)]
    return {name: asdict(statistics([getattr(sample, name) for sample in samples])) for name in names}


def gpu_warnings(times: dict[str, Any]) -> list[str]:
    """Why what `gpu_times` found should be read with care; empty where it should not."""
    if not times:
        return []
    compute, enqueue, *copies = (times[field.name]["p50_ms"] for field in fields(GpuTimes))
    variation = times["compute_ms"]["sd_ms"] / times["compute_ms"]["mean_ms"]
    notes = []
    if enqueue > ENQUEUE_SHARE * compute:
        notes.append(
            f"queueing takes {enqueue:.3g} ms of the CPU for {compute:.3g} ms of compute: the GPU may wait for the CPU"
        )
    if sum(copies) >= compute:
        notes.append(f"copies take {sum(copies):.3g} ms, compute {compute:.3g} ms: the bus is what limits")
    if variation > STEADY_CV:
        notes.append(f"coefficient of variation of the compute time {variation:.1%} is above {STEADY_CV:.1%}")
    return notes
