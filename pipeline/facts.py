"""What this machine is, read cheaply: no import of torch, onnxruntime or tensorrt."""

import os
import platform
import re
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

RECORDED = (
    "torch",
    "torchvision",
    "lightning-fabric",
    "onnx",
    "onnxscript",
    "numpy",
    "pillow",
    "opencv-python-headless",
    "safetensors",
)
DRIVER_FILES = ("/proc/driver/nvidia/version", "/etc/nv_tegra_release")
DEVICE_FILES = ("/dev/nvidiactl", "/dev/nvmap", "/dev/dxg")
"""Present where a GPU can be opened: a desktop's or server's, a Jetson's, WSL's. A container may see the driver's
version and still have no GPU."""
POWER_MODE_FILE = "var/lib/nvpmodel/status"
"""Below the root: a Jetson's alone, readable without root and without running nvpmodel."""


def facts(device: str = "auto") -> dict[str, Any]:
    """The facts by which stages say whether they can run and which some put into their key."""
    gpu = any(Path(file).exists() for file in DEVICE_FILES)
    return {
        "gpu": gpu,
        "gpu_name": gpu_name() if gpu else None,
        "device": ("cuda" if gpu else "cpu") if device == "auto" else device,
        "tensorrt": version("tensorrt") or version("tensorrt-cu12") or version("tensorrt-cu13"),
        "onnxruntime": version("onnxruntime-gpu") or version("onnxruntime"),
        "openvino": version("openvino"),
        "torch": version("torch"),
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "driver": driver(),
        "power_mode": power_mode(),
    }


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def gpu_name() -> str | None:
    """Model of the first GPU as the driver's files tell it, or a Jetson's board name."""
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in file.read_text().splitlines():
            if line.startswith("Model"):
                return line.partition(":")[2].strip()
    board = Path("/proc/device-tree/model")
    return board.read_text().strip("\0\n ") if board.exists() else None


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


def power_mode(root: Path = Path("/")) -> int | None:
    """Number of the mode that a Jetson was set to, as nvpmodel keeps it (`pmode:0002 fmode:quiet`); None elsewhere."""
    try:
        told = (root / POWER_MODE_FILE).read_text(errors="replace")
    except OSError:
        return None
    found = re.search(r"\bpmode:(\d+)", told)
    return int(found[1]) if found else None


def environment(known: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest records of the machine that made an artifact."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **known,
        **{name: version(name) for name in RECORDED},
    }
