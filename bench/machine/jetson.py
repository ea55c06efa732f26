"""Power mode, clocks and software of a Jetson. Everything is read, as the user who measures; nothing is set.

Python 3.10: it travels to boards.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bench.machine.text import answer, number, said, text
from pipeline.facts import power_mode

RELEASE = "etc/nv_tegra_release"
MODES = "etc/nvpmodel.conf"
"""What each power mode is called and limits."""
HZ_PER_MHZ = 1_000_000
KHZ_PER_MHZ = 1_000
CLOCK_LINE = re.compile(r"^(?P<unit>cpu\d+|GPU|EMC)\b:?.*?MinFreq=(\d+) MaxFreq=(\d+) CurrentFreq=(\d+)", re.M)
"""A line of `jetson_clocks --show`; CPUs in kHz, the others in Hz."""
GPU_DEVICE = re.compile(r"gpu|gv11b|ga10b", re.I)
"""Names of a Jetson's GPU below /sys/class/devfreq."""


def describe_jetson(root: Path = Path("/")) -> dict[str, Any] | None:
    """What a Jetson tells of itself; None on any other machine.

    `clocks_why`: why `jetson_clocks --show` told nothing; it mostly wants root. The GPU's clock is readable anyway.
    """
    release = text(root / RELEASE)
    if release is None:
        return None
    shown, why = answer(("jetson_clocks", "--show"))
    clocks = parse_clocks(shown or "")
    return {
        "l4t": parse_release(release),
        "jetpack": said("dpkg-query", "--showformat=${Version}", "--show", "nvidia-jetpack"),
        "power_mode": parse_power_mode(said("nvpmodel", "-q") or "") or kept_power_mode(root),
        "clocks": clocks,
        "clocks_locked": locked(clocks) if clocks else None,
        "clocks_why": None if clocks else why or "jetson_clocks --show lists no clocks",
        "gpu_clock": gpu_clock(root),
    }


def parse_release(release: str) -> str | None:
    """`36.3.0` out of /etc/nv_tegra_release, whose first line is `# R36 (release), REVISION: 3.0, GCID: ...`."""
    found = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", release)
    return f"{found[1]}.{found[2]}" if found else None


def parse_power_mode(told: str) -> dict[str, Any] | None:
    """`{name, number}` out of `nvpmodel -q`, which writes `NV Power Mode: MAXN` and the number on the next line."""
    found = re.search(r"NV Power Mode: *(\S+)\s+(\d+)\s*$", told, re.M)
    return {"name": found[1], "number": int(found[2])} if found else None


def kept_power_mode(root: Path = Path("/")) -> dict[str, Any] | None:
    """`{name, number}` from nvpmodel's files, where it is not there to be asked, as in a container, or wants root."""
    mode = power_mode(root)
    if mode is None:
        return None
    found = re.search(rf"^< *POWER_MODEL +ID={mode} +NAME=(\S+)", text(root / MODES) or "", re.M)
    return {"name": found[1] if found else f"mode {mode}", "number": mode}


def parse_clocks(shown: str) -> dict[str, dict[str, float]]:
    """Unit (`cpu0`, `GPU`, `EMC`) -> least, greatest and current clock in MHz, out of `jetson_clocks --show`."""
    found = {}
    for unit, *values in CLOCK_LINE.findall(shown):
        scale = KHZ_PER_MHZ if unit.startswith("cpu") else HZ_PER_MHZ
        found[unit] = dict(
            zip(("min_mhz", "max_mhz", "now_mhz"), (int(value) / scale for value in values), strict=True)
        )
    return found


def locked(clocks: dict[str, dict[str, float]]) -> bool:
    """Whether CPUs and GPU are held at one clock, as `jetson_clocks` does; the memory's limits stay apart even then."""
    return all(clock["min_mhz"] == clock["max_mhz"] for unit, clock in clocks.items() if unit != "EMC")


def gpu_clock(root: Path = Path("/")) -> dict[str, float] | None:
    """Least, greatest and current clock of the GPU in MHz, as devfreq tells everybody."""
    for device in sorted((root / "sys/class/devfreq").glob("*")):
        values = [number(device / f"{name}_freq") for name in ("min", "max", "cur")]
        if GPU_DEVICE.search(device.name) and None not in values:
            names = ("min_mhz", "max_mhz", "now_mhz")
            return {name: value / HZ_PER_MHZ for name, value in zip(names, values, strict=True) if value is not None}
    return None
