"""What this machine is, read cheaply: no import of torch, onnxruntime or tensorrt."""

import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

RECORDED = ("torch", "torchvision", "lightning-fabric", "onnx", "onnxscript", "numpy", "pillow", "safetensors")
DRIVER_FILES = ("/proc/driver/nvidia/version", "/etc/nv_tegra_release")


def facts() -> dict[str, Any]:
    """The facts by which stages say whether they can run and which some put into their key."""
    return {
        "gpu": any(Path(file).exists() for file in DRIVER_FILES),
        "tensorrt": version("tensorrt") or version("tensorrt-cu12") or version("tensorrt-cu13"),
        "onnxruntime": version("onnxruntime-gpu") or version("onnxruntime"),
        "cpu": cpu_model(),
        "driver": driver(),
    }


def version(distribution: str) -> str | None:
    """Installed version of a distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def cpu_model() -> str:
    """Model name of the processor, as the kernel tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def driver() -> str | None:
    """First line of the NVIDIA driver's version file, or None."""
    for file in DRIVER_FILES:
        if Path(file).exists():
            return Path(file).read_text().partition("\n")[0].strip()
    return None


def environment(device: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest records of the machine that made an artifact."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "device": device,
        **known,
        **{name: version(name) for name in RECORDED},
    }
