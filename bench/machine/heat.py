"""Temperatures, and whether something slowed itself down for heat or power. Read before, after, and as each turn ends.

Python 3.10: it travels to boards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.machine.text import number, said, text

ROOT = Path("/")
RISE_C = 15.0
"""A rise beyond which the first turns were measured on another machine, thermally, than the last."""
MILLI = 1_000
REASONS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "thermal slowdown by the driver",
    0x40: "thermal slowdown by the hardware",
    0x80: "power brake",
}
"""Bits of NVML's clock event reasons that slow a GPU down; idleness and the user's own settings are not among them."""
REASON_FIELDS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
"""nvidia-smi's name for them, and the one that drivers before 535 know."""
THROTTLE = re.compile(r"throttle|^processor$", re.I)
"""Types of cooling devices that take speed away; fans and idle injection for other ends are not among them."""
COUNTERS = {
    "CPU cores too hot": "sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count",
    "under-voltage": "sys/class/hwmon/hwmon*/oc1_event_cnt",
    "average over-current": "sys/class/hwmon/hwmon*/oc2_event_cnt",
    "over-current": "sys/class/hwmon/hwmon*/oc3_event_cnt",
}
"""Why -> counts of slow-downs: of Intel's cores, and the three of a Jetson Orin."""


@dataclass(frozen=True)
class Heat:
    """What a machine tells at one moment."""

    temperatures_c: dict[str, float]
    """By thermal zone or GPU."""
    throttling: list[str]
    """What is slowed down at this moment, and by what."""
    slowdowns: dict[str, int]
    """Counts that only grow."""


def read_heat(root: Path = ROOT) -> Heat:
    """All that can be read here; empty where nothing can."""
    gpus = gpu_heat()
    return Heat(
        {**zones(root), **{f"GPU {i}": one[0] for i, one in enumerate(gpus) if one[0] is not None}},
        [*cooling(root), *(f"GPU {i}: {reason}" for i, one in enumerate(gpus) for reason in one[1])],
        slowdowns(root),
    )


def zones(root: Path = ROOT) -> dict[str, float]:
    """Degrees Celsius by thermal zone; one without a sensor is left out, a second of the same type gets its number."""
    found: dict[str, float] = {}
    for zone in sorted(
        (root / "sys/class/thermal").glob("thermal_zone*"), key=lambda path: (len(path.name), path.name)
    ):
        name, reading = text(zone / "type") or zone.name, number(zone / "temp")
        if reading is not None:
            found[name if name not in found else f"{name} ({zone.name})"] = reading / MILLI
    return found


def cooling(root: Path = ROOT) -> tuple[str, ...]:
    """Cooling devices that take speed away at this moment."""
    return tuple(
        f"{text(device / 'type')} at step {state}"
        for device in sorted((root / "sys/class/thermal").glob("cooling_device*"))
        if THROTTLE.search(text(device / "type") or "") and (state := number(device / "cur_state") or 0) > 0
    )


def slowdowns(root: Path = ROOT) -> dict[str, int]:
    """How often something slowed down since the machine started, by why, where that is counted."""
    found = {}
    for why, pattern in COUNTERS.items():
        counts = [count for path in root.glob(pattern) if (count := number(path)) is not None]
        if counts:
            found[why] = sum(counts)
    return found


def gpu_heat() -> list[tuple[float | None, tuple[str, ...]]]:
    """(degrees Celsius, reasons for which it is slowed down) of each GPU that nvidia-smi knows."""
    for field in REASON_FIELDS:
        told = said("nvidia-smi", f"--query-gpu=temperature.gpu,{field}", "--format=csv,noheader,nounits")
        if told is not None:
            return parse_gpu_heat(told)
    return []


def parse_gpu_heat(csv_text: str) -> list[tuple[float | None, tuple[str, ...]]]:
    """Lines like `41, 0x0000000000000004`; `[N/A]` where a GPU does not tell."""
    found = []
    for line in csv_text.strip().splitlines():
        temperature, _, bits = (part.strip() for part in line.partition(","))
        mask = int(bits, 16) if bits.startswith("0x") else 0
        found.append((float(temperature) if temperature.isdecimal() else None, reasons(mask)))
    return found


def reasons(mask: int) -> tuple[str, ...]:
    """What slows a GPU down, in words."""
    return tuple(words for bit, words in REASONS.items() if mask & bit)


def change(before: Heat, after: Heat, during: Mapping[str, int]) -> dict[str, Any]:
    """Both readings as plain data and what a reader must know of them.

    `during`: how many turns ended in each kind of slow-down.
    """
    return {"before": asdict(before), "after": asdict(after), "warnings": warnings(before, after, during)}


def warnings(before: Heat, after: Heat, during: Mapping[str, int]) -> list[str]:
    """Slow-downs while it was measured, and a rise of temperature of 15 degrees or more."""
    notes = [f"slowed down as {turns} turns ended: {what}" for what, turns in during.items()]
    at_rest = {*before.throttling, *after.throttling} - set(during)
    notes += [f"slowed down before or after the measurement: {what}" for what in sorted(at_rest)]
    for name, count in after.slowdowns.items():
        grown = count - before.slowdowns.get(name, count)
        if grown > 0:
            notes.append(f"slowed down {grown} times meanwhile: {name}")
    for name, reading in after.temperatures_c.items():
        rise = reading - before.temperatures_c.get(name, reading)
        if rise >= RISE_C:
            notes.append(f"{name} rose by {rise:.0f} degrees to {reading:.0f} C: later turns ran on a warmer machine")
    return notes
