"""Peak memory of a callable in a process of its own."""

import os
import sys
from collections.abc import Callable
from functools import partial

import pytest

from bench.training.peak_memory import kib_of, peak_of
from pipeline.errors import PipelineError

MIB = 2**20


def holding(mib: int) -> Callable[[], object]:
    return lambda: bytearray(b"x") * (mib * MIB)


def failing() -> Callable[[], object]:
    raise ValueError("no such network")


def test_status_is_read() -> None:
    assert kib_of("VmHWM", "VmPeak:\t 9 kB\nVmHWM:\t   1234 kB\nVmRSS:\t 5 kB\n") == 1234


@pytest.mark.skipif(sys.platform != "linux", reason="what a process held before is read from /proc")
def test_what_the_calls_hold_is_in_the_peak() -> None:
    found = peak_of(partial(holding, 64), "cpu")
    assert found["peak_mib"] - found["before_mib"] == pytest.approx(64, abs=8)


def test_a_failure_in_the_process_is_named() -> None:
    with pytest.raises(PipelineError, match="ValueError: no such network"):
        peak_of(failing, "cpu")
    with pytest.raises(PipelineError, match="killed"):
        peak_of(partial(os._exit, 9), "cpu")
