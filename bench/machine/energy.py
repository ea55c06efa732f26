"""Energy of each candidate: what a sensor of this machine counted while that candidate alone ran.

Read, never set, and only while a candidate is measured. The joules of an inference are the mean power of its turns
times the time of one inference. Nothing is subtracted: idle power is in it, and is told beside it. What a sensor covers
differs: a Jetson's INA3221 the module with its memory, NVML a GPU's board, RAPL the processor's packages without memory
and mainboard. Joules of two kinds of sensor do not compare.

A sensor that counts energy is read as a turn begins and ends. One that tells power is sampled by a thread in between
and integrated by trapezoids; the thread reads a file every 50 ms and wakes for nothing else.

A sensor that lags puts its neighbours' energy into a short turn. Where a round's turn is shorter than what is known of
the sensor, the rounds are not charged at all, and each candidate has one long turn afterwards (`Meter.long_turn`). It
runs for the sensor's shortest turn before the meter is read, so that nothing of the neighbour is left in it, then for
four times as long. What is left of the lag is the candidate's own: power that is a mean of the last second tells of a
second earlier, which is the same where the power is steady; a counter that moves in steps is up to a step off at both
ends, for NVML's 0.1 s in 2 s at most 5 % and about 2 % as a standard deviation.

Python 3.10: it travels to boards.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.machine.nvml import Nvml, NvmlError
from bench.machine.text import number, text
from bench.turns.timing import LongTurn

ROOT = Path("/")
MICRO = 1_000_000
MILLI = 1_000
IDLE_S = 0.5
SAMPLE_S = 0.05
RAPL_TURN_S, INA3221_TURN_S, NVML_COUNTER_TURN_S, NVML_POWER_TURN_S = 0.01, 0.1, 0.5, 2.0
"""Shortest turns that are charged. RAPL moves on every millisecond, an INA3221 is read twice; NVML's counter moves on
every 0.1 s, so that a tenth of such a turn may be its neighbours'; its power is on many GPUs the mean of a second."""
METERED_TURNS = 4
"""Shortest turns in a long one under the meter."""
TOTALS = (("VDD_IN",), ("POM_5V_IN",), ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"))
"""Rails of a Jetson that together feed the module: Orin Nano, Orin NX and Xavier NX; the first Nano; AGX Orin, whose
memory hangs on the last one."""
PACKAGE = re.compile(r"intel-rapl:\d+")
"""A zone of RAPL that is no part of another; AMD's processors use the name too."""


@dataclass(frozen=True)
class Sensor:
    """Where energy is read."""

    name: str
    covers: str
    """What the joules are of."""
    read: Callable[[], float]
    """Joules since some moment, or watts now; OSError, ValueError or NvmlError where it does not answer."""
    counts: bool
    """Whether `read` tells joules."""
    least_turn_s: float
    """Shortest turn that is charged; longer than the sensor lags."""
    of_all: bool = False
    """Whether CPU and GPU are in it alike."""


@dataclass
class Charge:
    """What one candidate's turns took."""

    joules: float = 0.0
    seconds: float = 0.0
    why: str = ""
    """Why there is no figure."""


@dataclass
class Meter:
    """Charges each turn to its candidate; without a sensor it does nothing."""

    sensor: Sensor | None
    why: str = ""
    """Why there is no sensor."""
    idle_w: float | None = None
    charges: dict[str, Charge] = field(default_factory=dict)

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """Everything inside is charged to `name`."""
        if self.sensor is None:
            yield
            return
        charge = self.charges.setdefault(name, Charge())
        with reading(self.sensor) as spent:
            yield
        charge.seconds += spent.seconds
        charge.joules += spent.joules
        charge.why = charge.why or spent.why

    def rest(self, seconds: float = IDLE_S) -> None:
        """Measures the power of the machine as it is now, before anything runs."""
        if self.sensor is not None:
            with reading(self.sensor) as spent:
                time.sleep(max(seconds, self.sensor.least_turn_s))
            self.idle_w = None if spent.why else spent.joules / spent.seconds

    def long_turn(self, turn_s: float) -> LongTurn | None:
        """The turn that a candidate has after its rounds where their turns of `turn_s` are too short for the sensor."""
        if self.sensor is None or turn_s >= self.sensor.least_turn_s:
            return None
        least_s = self.sensor.least_turn_s
        return LongTurn(self.turn, least_s, METERED_TURNS * least_s)

    def mean_w(self, name: str) -> float | None:
        """Mean power of a candidate's turns in watts; None where it was not told."""
        charge = self.charges.get(name)
        if charge is None or charge.why or not charge.seconds:
            return None
        return charge.joules / charge.seconds

    def to_json(self) -> dict[str, Any]:
        """Sensor, what it covers, idle power, and why there is no figure where there is none."""
        if self.sensor is None:
            return {"sensor": None, "covers": None, "idle_w": None, "why": self.why}
        faults = [charge.why for charge in self.charges.values() if charge.why]
        if not faults and not any(charge.seconds for charge in self.charges.values()):
            faults = ["no candidate came to the end of a turn under the sensor"]
        why = "; ".join(dict.fromkeys(faults)) or None
        return {"sensor": self.sensor.name, "covers": self.sensor.covers, "idle_w": self.idle_w, "why": why}


@dataclass
class Spent:
    """What a sensor counted between two moments."""

    joules: float = 0.0
    seconds: float = 0.0
    why: str = ""


@contextmanager
def reading(sensor: Sensor) -> Iterator[Spent]:
    """Fills the `Spent` as the block ends; a sensor that does not answer is a reason and stops nothing."""
    spent = Spent()
    take = _Counter(sensor) if sensor.counts else _Sampler(sensor)
    take.begin()
    try:
        yield spent
    finally:
        spent.joules, spent.seconds, spent.why = take.end()


class _Counter:
    """Reads joules at both ends."""

    def __init__(self, sensor: Sensor) -> None:
        self.sensor = sensor
        self.at_start = 0.0, 0.0
        self.why = ""

    def begin(self) -> None:
        self.at_start = self._read()

    def end(self) -> tuple[float, float, str]:
        (joules, moment), (joules_before, moment_before) = self._read(), self.at_start
        return joules - joules_before, moment - moment_before, self.why

    def _read(self) -> tuple[float, float]:
        moment = time.perf_counter()
        try:
            return self.sensor.read(), moment
        except (OSError, ValueError, NvmlError) as error:
            self.why = f"{self.sensor.name}: {error}"
            return 0.0, moment


class _Sampler:
    """Reads watts from a thread of its own, as it begins and ends and every 50 ms in between."""

    def __init__(self, sensor: Sensor) -> None:
        self.sensor = sensor
        self.samples: list[tuple[float, float]] = []
        self.why = ""
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, name="energy", daemon=True)

    def begin(self) -> None:
        self._sample()
        self.thread.start()

    def end(self) -> tuple[float, float, str]:
        self.stop.set()
        self.thread.join()
        self._sample()
        seconds = self.samples[-1][0] - self.samples[0][0] if self.samples else 0.0
        return integral(self.samples), seconds, self.why

    def _run(self) -> None:
        while not self.stop.wait(SAMPLE_S):
            self._sample()

    def _sample(self) -> None:
        try:
            self.samples.append((time.perf_counter(), self.sensor.read()))
        except (OSError, ValueError, NvmlError) as error:
            self.why = f"{self.sensor.name}: {error}"


def integral(samples: Sequence[tuple[float, float]]) -> float:
    """Joules under (seconds, watts) by trapezoids; 0 for fewer than two samples."""
    return sum((t2 - t1) * (w1 + w2) / 2 for (t1, w1), (t2, w2) in pairwise(samples))


def open_meter(device: str, nvml: Nvml | None, root: Path = ROOT) -> Meter:
    """A meter on the sensor that covers what computes: a Jetson's first, then the GPU's, or else the processor's.

    `nvml`: of the GPU that computes, or None where there is none or it does not answer.
    """
    rails = jetson_rails(root)
    total = next((names for names in TOTALS if rails.keys() >= set(names)), None)
    if total is not None:
        return Meter(jetson_sensor(rails, total))
    if rails:
        return Meter(None, f"of the INA3221's rails {', '.join(rails)} none is known to feed the whole module")
    if device == "cuda":
        return gpu_meter(nvml)
    return cpu_meter(root)


def jetson_rails(root: Path = ROOT) -> dict[str, Callable[[], float]]:
    """Name of each rail of the INA3221 chips -> a function that tells its watts now."""
    drivers = root / "sys/bus/i2c/drivers"
    found: dict[str, Callable[[], float]] = {}
    for label in sorted(drivers.glob("ina3221/*/hwmon/hwmon*/in*_label")):
        channel = label.name.removeprefix("in").removesuffix("_label")
        parts = [label.with_name(f"{kind}{channel}_input") for kind in ("in", "curr")]
        if (name := text(label)) and all(number(part) is not None for part in parts):
            found[name] = product_of(*parts)
    # The driver of JetPack 4 tells milliwatts at once.
    for label in sorted(drivers.glob("ina3221x/*/iio:device*/rail_name_*")):
        power = label.with_name(f"in_power{label.name.removeprefix('rail_name_')}_input")
        if (name := text(label)) and number(power) is not None:
            found[name] = milli_of(power)
    return found


def product_of(millivolts: Path, milliamperes: Path) -> Callable[[], float]:
    """Watts out of two files."""
    return lambda: whole(millivolts) * whole(milliamperes) / MICRO


def milli_of(milliwatts: Path) -> Callable[[], float]:
    """Watts out of one file."""
    return lambda: whole(milliwatts) / MILLI


def whole(path: Path) -> int:
    """A sensor's number; OSError or ValueError where it does not answer."""
    return int(path.read_bytes())


def jetson_sensor(rails: dict[str, Callable[[], float]], names: Sequence[str]) -> Sensor:
    """Power of the whole module, as the sum of its rails."""
    reads = [rails[name] for name in names]
    covers = "the whole module, memory included, without the carrier board"
    return Sensor(
        f"INA3221 {' + '.join(names)}", covers, lambda: sum(read() for read in reads), False, INA3221_TURN_S, True
    )


def gpu_meter(nvml: Nvml | None) -> Meter:
    """The GPU's counter of energy, or its power where it has none."""
    if nvml is None:
        return Meter(None, "the GPU's driver does not answer NVML")
    covers = "the GPU's board, without the host"
    try:
        nvml.joules()
        return Meter(Sensor("NVML total energy", covers, nvml.joules, True, NVML_COUNTER_TURN_S))
    except NvmlError:
        pass
    try:
        nvml.watts()
        return Meter(Sensor("NVML power, sampled", covers, nvml.watts, False, NVML_POWER_TURN_S))
    except NvmlError as error:
        return Meter(None, str(error))


def cpu_meter(root: Path = ROOT) -> Meter:
    """The processor's counters of energy, which many systems let root alone read."""
    folder = root / "sys/class/powercap"
    packages = [
        zone
        for zone in sorted(folder.glob("intel-rapl:*"))
        if PACKAGE.fullmatch(zone.name) and (text(zone / "name") or "").startswith("package")
    ]
    if not packages:
        return Meter(None, "neither an INA3221 nor RAPL is readable here; a virtual machine mostly has none")
    try:
        counter = Packages(packages)
    except OSError as error:
        return Meter(None, f"{error.filename} cannot be read: {error.strerror}; RAPL is mostly open to root alone")
    except ValueError as error:
        return Meter(None, f"RAPL tells no number: {error}")
    covers = "the processor's packages, without memory and mainboard"
    return Meter(Sensor("RAPL", covers, counter.joules, True, RAPL_TURN_S))


class Packages:
    """RAPL's counters of all packages as one that never wraps; it must be read more often than they do, in minutes."""

    def __init__(self, zones: Sequence[Path]) -> None:
        self.files = [zone / "energy_uj" for zone in zones]
        self.ranges = [whole(zone / "max_energy_range_uj") for zone in zones]
        self.last = [whole(file) for file in self.files]
        self.total_uj = 0

    def joules(self) -> float:
        """Since this object was made."""
        now = [whole(file) for file in self.files]
        for one, before, most in zip(now, self.last, self.ranges, strict=True):
            self.total_uj += one - before if one >= before else one + most - before
        self.last = now
        return self.total_uj / MICRO
