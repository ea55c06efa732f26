"""Energy, power and slow-downs of one NVIDIA GPU, asked of the driver's own library (NVML).

By ctypes and not by a package: a board's bundle brings none, and four calls are all that is needed. The index of a GPU
in NVML is not CUDA's, so that it is found by its place on the PCI bus. Python 3.10: it travels to boards.
"""

from __future__ import annotations

import ctypes
from typing import Any

from export.deploy.gpu import GpuError, bus_id

LIBRARY = "libnvidia-ml.so.1"
MILLI = 1_000


class NvmlError(Exception):
    """NVML is not there or does not tell what was asked."""


class Nvml:
    """The GPU that CUDA calls device 0."""

    def __init__(self, library: Any, bus: str) -> None:
        self._library = library
        self._device = ctypes.c_void_p()
        self._call("nvmlInit_v2")
        self._call("nvmlDeviceGetHandleByPciBusId_v2", bus.encode(), ctypes.byref(self._device))

    def joules(self) -> float:
        """Energy since the driver was loaded; Volta and newer tell it. NvmlError where this one does not."""
        return self._value("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong()) / MILLI

    def watts(self) -> float:
        """Power of the board now, which many GPUs average over a second; NvmlError where it does not tell."""
        return self._value("nvmlDeviceGetPowerUsage", ctypes.c_uint()) / MILLI

    def reasons(self) -> int:
        """Bits of `bench.machine.heat.REASONS`; NvmlError where it does not tell."""
        return self._value("nvmlDeviceGetCurrentClocksThrottleReasons", ctypes.c_ulonglong())

    def close(self) -> None:
        """Let the library go."""
        self._call("nvmlShutdown")

    def _value(self, name: str, holder: Any) -> int:
        self._call(name, self._device, ctypes.byref(holder))
        return int(holder.value)

    def _call(self, name: str, *arguments: Any) -> None:
        function = getattr(self._library, name, None)
        if function is None:
            raise NvmlError(f"the driver's NVML has no {name}")
        status = function(*arguments)
        if status:
            raise NvmlError(f"NVML's {name} ended with code {status}")


def open_nvml() -> Nvml:
    """NVML for CUDA's device 0; NvmlError where there is no driver, or it does not know the GPU."""
    try:
        return Nvml(ctypes.CDLL(LIBRARY), bus_id())
    except (OSError, GpuError) as error:
        raise NvmlError(str(error)) from error
