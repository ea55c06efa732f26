"""What a measurement ran on. Everything here is read, nothing is set."""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from bench.machine.jetson import describe_jetson
from bench.machine.text import said, text
from export.deploy.gpu import GpuError, driver, served_cuda
from pipeline.facts import RECORDED, facts, version

RUNTIMES = ("onnxruntime", "openvino", "tensorrt")
"""Facts that are versions, whichever distribution provides the package."""
GPU_QUERY = {
    "name": "name",
    "driver": "driver_version",
    "memory_mib": "memory.total",
    "clock_mhz": "clocks.sm",
    "max_clock_mhz": "clocks.max.sm",
    "memory_clock_mhz": "clocks.mem",
    "power_limit_w": "power.limit",
    "temperature_c": "temperature.gpu",
}
"""What a report calls it -> what nvidia-smi calls it."""
CUDA_RUNTIMES = ("nvidia-cuda-runtime", "nvidia-cuda-runtime-cu13", "nvidia-cuda-runtime-cu12")
"""Packages that bring CUDA's runtime library, as torch and onnxruntime ask for them."""
CUDA_TOOLKIT = Path("/usr/local/cuda/version.json")


def describe(threads: int | None = None) -> dict[str, Any]:
    """Environment of this process as plain data; None for what this machine does not tell.

    `threads` is the number of threads that the measured runtimes use. bench/machine/watch.py adds `energy` and `heat`
    once the candidates have run. Load averages over 1, 5 and 15 minutes come from before the measurement when this is
    called first.
    """
    found = facts()
    cpuinfo = text("/proc/cpuinfo") or ""
    return {
        "cpu": {
            "model": found["cpu"],
            "board": text("/proc/device-tree/model"),
            "cores": os.cpu_count(),
            "usable_cores": found["cores"],
            "threads": threads,
            "governor": text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            "clock_mhz": cpu_clock_mhz(cpuinfo),
            "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        },
        "memory_gib": memory_gib(text("/proc/meminfo") or ""),
        "os": {"name": _os_name(), "kernel": platform.release(), "machine": platform.machine()},
        "python": sys.version.split()[0],
        "packages": {name: version(name) for name in RECORDED} | {name: found[name] for name in RUNTIMES},
        "gpus": gpus(),
        "cuda": cuda_versions(),
        "jetson": describe_jetson(),
    }


def cpu_clock_mhz(cpuinfo: str) -> float | None:
    """Clock of the first core in MHz at this moment."""
    khz = text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
    if khz is not None:
        return int(khz) / 1000
    mhz = _value(cpuinfo, "cpu MHz")
    return float(mhz) if mhz else None


def memory_gib(meminfo: str) -> float | None:
    """Total memory in GiB in the text of /proc/meminfo."""
    total = _value(meminfo, "MemTotal")
    return round(int(total.split()[0]) / 2**20, 1) if total else None


def cuda_versions() -> dict[str, str | None]:
    """Newest CUDA that the driver serves, and the runtime and the toolkit that are installed."""
    try:
        served = served_cuda(driver())
    except GpuError:
        served = None
    runtime = next((found for name in CUDA_RUNTIMES if (found := version(name))), None)
    return {"driver_serves": served, "runtime": runtime, "toolkit": parse_toolkit(text(CUDA_TOOLKIT) or "")}


def parse_toolkit(version_json: str) -> str | None:
    """Version of the toolkit in its version.json, `{"cuda": {"version": "12.6.11", ...}, ...}`."""
    try:
        return str(json.loads(version_json)["cuda"]["version"])
    except (ValueError, KeyError, TypeError):
        return None


def gpus() -> list[dict[str, Any]]:
    """NVIDIA GPUs that the driver shows; empty where there is none."""
    told = said("nvidia-smi", f"--query-gpu={','.join(GPU_QUERY.values())}", "--format=csv,noheader,nounits")
    return parse_gpus(told or "")


def parse_gpus(csv_text: str) -> list[dict[str, Any]]:
    """GPUs in the output of nvidia-smi for the fields of `GPU_QUERY`; what one does not tell is None."""
    found = []
    for line in csv_text.strip().splitlines():
        values = [value.strip() for value in line.split(",")]
        if len(values) == len(GPU_QUERY):
            found.append(dict(zip(GPU_QUERY, [*values[:2], *map(_number, values[2:])], strict=True)))
    return found


def _number(value: str) -> float | None:
    """A field of nvidia-smi; None for `[N/A]` and its like."""
    try:
        return float(value) if "." in value else int(value)
    except ValueError:
        return None


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _value(text: str, key: str) -> str | None:
    """Value of the first line `key : value`."""
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip() == key:
            return value.strip()
    return None
