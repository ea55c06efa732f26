"""What a measurement ran on. Everything here is read, nothing is set."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline.facts import RECORDED, facts, version

RUNTIMES = ("onnxruntime", "openvino", "tensorrt")
"""Facts that are versions, whichever distribution provides the package."""
GPU_QUERY = ("name", "driver_version", "memory.total", "clocks.sm", "clocks.max.sm", "temperature.gpu")
NVIDIA_SMI_TIMEOUT_S = 10


def describe(threads: int | None = None) -> dict[str, Any]:
    """Environment of this process as plain data; None for what this machine does not tell.

    `threads` is the number of threads that the measured runtimes use. Load averages over 1, 5 and 15 minutes
    come from before the measurement when this is called first.
    """
    found = facts()
    cpuinfo = _text("/proc/cpuinfo") or ""
    return {
        "cpu": {
            "model": found["cpu"],
            "board": (_text("/proc/device-tree/model") or "").strip("\0\n") or None,
            "cores": os.cpu_count(),
            "usable_cores": found["cores"],
            "threads": threads,
            "governor": _line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            "clock_mhz": cpu_clock_mhz(cpuinfo),
            "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        },
        "memory_gib": memory_gib(_text("/proc/meminfo") or ""),
        "os": {"name": _os_name(), "kernel": platform.release(), "machine": platform.machine()},
        "python": sys.version.split()[0],
        "packages": {name: version(name) for name in RECORDED} | {name: found[name] for name in RUNTIMES},
        "gpus": gpus(),
    }


def cpu_clock_mhz(cpuinfo: str) -> float | None:
    """Clock of the first core in MHz at this moment."""
    khz = _line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
    if khz is not None:
        return int(khz) / 1000
    mhz = _value(cpuinfo, "cpu MHz")
    return float(mhz) if mhz else None


def memory_gib(meminfo: str) -> float | None:
    """Total memory in GiB in the text of /proc/meminfo."""
    total = _value(meminfo, "MemTotal")
    return round(int(total.split()[0]) / 2**20, 1) if total else None


def gpus() -> list[dict[str, Any]]:
    """NVIDIA GPUs that the driver shows; empty where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={','.join(GPU_QUERY)}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=NVIDIA_SMI_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_gpus(answer.stdout) if answer.returncode == 0 else []


def parse_gpus(csv_text: str) -> list[dict[str, Any]]:
    """GPUs in the output of nvidia-smi for the fields of `GPU_QUERY` (MiB, MHz, degrees Celsius)."""
    names = ("name", "driver", "memory_mib", "clock_mhz", "max_clock_mhz", "temperature_c")
    found = []
    for line in csv_text.strip().splitlines():
        values = [value.strip() for value in line.split(",")]
        numbers = [int(value) if value.isdecimal() else None for value in values[2:]]
        found.append(dict(zip(names, [*values[:2], *numbers], strict=True)))
    return found


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return None


def _line(path: str) -> str | None:
    return (_text(path) or "").strip() or None


def _value(text: str, key: str) -> str | None:
    """Value of the first line `key : value`."""
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip() == key:
            return value.strip()
    return None
