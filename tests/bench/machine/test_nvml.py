"""Calls of NVML against a library that answers as the driver's does."""

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from bench.machine.nvml import Nvml, NvmlError

NOT_SUPPORTED = 3


def telling(value: int) -> Any:
    """A function that writes `value` where its last argument points to."""

    def function(device: Any, holder: Any) -> int:
        holder._obj.value = value
        return 0

    return function


def library(**functions: Any) -> SimpleNamespace:
    def handle(bus: bytes, holder: Any) -> int:
        holder._obj.value = 1 if bus == b"0000:3B:00.0" else 0
        return 0 if holder._obj.value else 6

    known = {"nvmlInit_v2": lambda: 0, "nvmlShutdown": lambda: 0, "nvmlDeviceGetHandleByPciBusId_v2": handle}
    return SimpleNamespace(**known | functions)


def test_units() -> None:
    nvml = Nvml(
        library(
            nvmlDeviceGetTotalEnergyConsumption=telling(2_500),
            nvmlDeviceGetPowerUsage=telling(71_250),
            nvmlDeviceGetCurrentClocksThrottleReasons=telling(0x44),
        ),
        "0000:3B:00.0",
    )
    assert (nvml.joules(), nvml.watts(), nvml.reasons()) == (2.5, 71.25, 0x44)
    nvml.close()


def test_what_a_gpu_or_its_driver_does_not_tell_is_an_error() -> None:
    nvml = Nvml(library(nvmlDeviceGetPowerUsage=lambda device, holder: NOT_SUPPORTED), "0000:3B:00.0")
    with pytest.raises(NvmlError, match="nvmlDeviceGetPowerUsage ended with code 3"):
        nvml.watts()
    with pytest.raises(NvmlError, match="has no nvmlDeviceGetTotalEnergyConsumption"):
        nvml.joules()


def test_a_gpu_that_it_does_not_know_is_an_error() -> None:
    with pytest.raises(NvmlError, match="code 6"):
        Nvml(library(), "0000:00:00.0")


def test_the_counters_are_as_wide_as_the_library_writes_them() -> None:
    seen = []

    def function(device: Any, holder: Any) -> int:
        seen.append(ctypes.sizeof(holder._obj))
        return 0

    names = ("TotalEnergyConsumption", "PowerUsage", "CurrentClocksThrottleReasons")
    nvml = Nvml(library(**{f"nvmlDeviceGet{name}": function for name in names}), "0000:3B:00.0")
    nvml.joules(), nvml.watts(), nvml.reasons()
    assert seen == [8, 4, 8]
