"""What is watched while candidates take turns: energy, temperatures, slow-downs. Python 3.10: it travels to boards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from bench.machine.energy import Meter, open_meter
from bench.machine.heat import Heat, change, cooling, read_heat, reasons
from bench.machine.nvml import Nvml, NvmlError, open_nvml
from bench.turns.timing import Schedule

ROOT = Path("/")


class Watch:
    """Made before anything runs: it reads the machine at rest, which takes a second or two where there is a sensor."""

    def __init__(self, device: str, schedule: Schedule, root: Path = ROOT) -> None:
        self.root = root
        self.device = device
        self.nvml = nvml_of(device)
        self.meter: Meter = open_meter(device, self.nvml, root)
        self.before: Heat = read_heat(root)
        self.during: Counter[str] = Counter()
        self.meter.rest()
        self.long_turn = self.meter.long_turn(schedule.turn_s)
        """What `measure` gives every candidate after the rounds, where those are too short for the sensor."""

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """A candidate's turn in a round: its energy is counted unless that is left to a long turn, and as it ends, what
        slows the machine down."""
        with nullcontext() if self.long_turn else self.meter.turn(name):
            yield
        self.during.update(self.slowed())

    def slowed(self) -> tuple[str, ...]:
        """What is slowed down now, in a millisecond: no program is started between two turns."""
        try:
            gpu = reasons(self.nvml.reasons()) if self.nvml else ()
        except NvmlError:
            gpu = ()
        return (*cooling(self.root), *(f"GPU: {reason}" for reason in gpu))

    def to_json(self) -> dict[str, Any]:
        """What an environment has more of once the candidates have run; reads the machine again."""
        metered_s = self.long_turn.metered_s if self.long_turn else None
        energy = {**self.meter.to_json(), "long_turn_s": metered_s}
        return {"energy": energy, "heat": change(self.before, read_heat(self.root), self.during)}

    def energy_j(self, row: Mapping[str, Any], batch: int = 1, on: str | None = None) -> float | None:
        """Joules an inference of a row of the table; None where no sensor told them.

        `on`: where the row computed, `cpu` or `cuda`, if not on this device. A GPU's joules are none of its.
        """
        sensor = self.meter.sensor
        if sensor is not None and not sensor.of_all and on not in (None, self.device):
            return None
        watts = self.meter.mean_w(row["name"])
        return watts * batch / row["images_per_s"] if watts is not None and row["images_per_s"] else None


def nvml_of(device: str) -> Nvml | None:
    """NVML of the GPU that computes; None on a CPU, or where it does not answer (a Jetson before Thor)."""
    if device != "cuda":
        return None
    try:
        return open_nvml()
    except NvmlError:
        return None
