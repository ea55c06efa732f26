"""What is suspicious about the times of an engine."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench.turns.gpu_times import SAMPLES, GpuPart, gpu_part, gpu_times, gpu_warnings
from export.runtimes.protocol import GpuTimes

IMAGES_NHWC = np.zeros((1, 2, 2, 3), np.uint8)


def found(*times: GpuTimes) -> dict:
    """The figures of a runtime that takes these times in turns."""
    turns = iter(times * SAMPLES)
    return gpu_times(SimpleNamespace(timed=lambda images: (images, next(turns))), IMAGES_NHWC)  # type: ignore[arg-type]


def test_every_part_has_its_figures() -> None:
    figures = found(GpuTimes(4.0, 0.1, 0.5, 0.25))
    assert {name: part["p50_ms"] for name, part in figures.items()} == {
        "compute_ms": 4.0,
        "enqueue_ms": 0.1,
        "to_device_ms": 0.5,
        "to_host_ms": 0.25,
    }
    assert all(part["n"] == SAMPLES for part in figures.values())
    assert gpu_warnings(figures) == []


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ([GpuTimes(1.0, 0.9, 0.1, 0.1)], "queueing takes 0.9 ms of the CPU for 1 ms of compute"),
        ([GpuTimes(1.0, 0.1, 0.6, 0.4)], "copies take 1 ms, compute 1 ms"),
        (
            [GpuTimes(1.0, 0.1, 0.1, 0.1), GpuTimes(1.2, 0.1, 0.1, 0.1)],
            "coefficient of variation of the compute time 9.1%",
        ),
    ],
)
def test_each_suspicion_is_told_alone(times: list[GpuTimes], told: str) -> None:
    (note,) = gpu_warnings(found(*times))
    assert told in note


def test_a_runtime_that_cannot_tell_has_none() -> None:
    assert gpu_times(SimpleNamespace(), IMAGES_NHWC) == {}  # type: ignore[arg-type]
    assert gpu_warnings({}) == []


def test_an_engine_that_breaks_after_its_latency_was_measured_says_what_is_missing() -> None:
    calls = iter(range(SAMPLES))

    def timed(images_NHWC: np.ndarray) -> tuple[np.ndarray, GpuTimes]:
        if next(calls) == SAMPLES - 1:
            raise RuntimeError("an illegal memory access\nand a trace")
        return images_NHWC, GpuTimes(4.0, 0.1, 0.5, 0.25)

    part = gpu_part(lambda: SimpleNamespace(timed=timed), IMAGES_NHWC)  # type: ignore[arg-type, return-value]
    assert part == GpuPart({}, ["the GPU's own times are missing: RuntimeError: an illegal memory access"])


def test_times_come_with_their_warnings() -> None:
    runtime = SimpleNamespace(timed=lambda images: (images, GpuTimes(1.0, 0.9, 0.1, 0.1)))
    part = gpu_part(lambda: runtime, IMAGES_NHWC)  # type: ignore[arg-type, return-value]
    assert part.times["compute_ms"]["p50_ms"] == 1.0
    assert len(part.warnings) == 1 and "queueing" in part.warnings[0]
