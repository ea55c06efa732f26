"""The machine: processor, memory, GPU as the driver's files show it."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from pipeline.doctor.finding import Finding, Level
from pipeline.plan import Planner
from pipeline.render import size

ENOUGH_MEMORY = 3 << 30
"""Bytes: training at the sizes of the CPU recipes takes 2.4 GiB."""
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def examine(planner: Planner) -> Iterator[Finding]:
    """System, processor, memory, GPU."""
    facts = planner.facts
    yield Finding("system", Level.OK, platform.platform())
    yield Finding("processor", Level.OK, f"{facts['cpu']}, {facts['cores']} of {os.cpu_count()} cores usable")
    yield memory()
    if facts["gpu"]:
        yield Finding("GPU", Level.OK, f"{facts['gpu_name'] or 'NVIDIA'}, driver: {facts['driver'] or 'unknown'}")
    else:
        advice = "training and benchmarks run on the CPU, export.tensorrt is skipped: build engines on the target"
        yield Finding("GPU", Level.MISSING, "no NVIDIA GPU can be opened", advice)


def memory() -> Finding:
    """Memory that this process may use."""
    usable = memory_bytes()
    if usable < ENOUGH_MEMORY:
        advice = f"{size(ENOUGH_MEMORY)} is what the CPU recipes take: lower batch and crop_px"
        return Finding("memory", Level.WARNING, size(usable), advice)
    return Finding("memory", Level.OK, size(usable))


def memory_bytes() -> int:
    """The machine's memory, or a container's limit where that is lower."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(physical, int(CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):
        return physical
