"""A measurement with a sensor in a made-up /sys: energy by candidate, slow-downs by turn."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.machine import watch as watched
from bench.machine.nvml import NvmlError
from bench.machine.watch import Watch
from bench.turns.timing import Candidate, Schedule, measure

LONG_ENOUGH = Schedule(min_s=3.0, repeats=3)
"""Turns of a second, which an INA3221 and RAPL can tell."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A Jetson that always takes 8 W and whose GPU is slowed down."""
    chip = tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"
    device = tmp_path / "sys/class/thermal/cooling_device0"
    for folder, files in (
        (chip, {"in1_label": "VDD_IN", "in1_input": "5000", "curr1_input": "1600"}),
        (device, {"type": "gpu-throttle-alert", "cur_state": "1"}),
    ):
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name).write_text(content)
    return tmp_path


def test_joules_are_power_times_the_time_of_an_inference(root: Path) -> None:
    schedule = Schedule(warmup_s=0.0, min_s=0.6, max_s=0.6, min_samples=1, repeats=3)
    watch = Watch("cpu", schedule, root)
    assert watch.long_turn is None
    calls = iter(range(20, 0, -1))
    candidates = [
        Candidate("slow", lambda: lambda: time.sleep(0.02)),
        Candidate("broken", lambda: lambda: 1 / 0),
        Candidate("breaks amid a turn", lambda: lambda: time.sleep(0.001 / next(calls))),
    ]
    slow, broken, breaks = (row.to_json() for row in measure(candidates, schedule, during=watch.turn))
    joules = watch.energy_j(slow)
    assert joules == pytest.approx(8.0 * slow["statistics"]["mean_ms"] / 1000, rel=0.1)
    assert watch.energy_j(slow | {"images_per_s": 2 * slow["images_per_s"]}, batch=2) == pytest.approx(joules)
    assert (breaks["status"], watch.meter.charges["breaks amid a turn"].seconds) == ("failed", 0.0)
    assert watch.energy_j(broken) is watch.energy_j(breaks) is None
    told = watch.to_json()
    assert told["energy"]["sensor"] == "INA3221 VDD_IN"
    assert told["energy"]["idle_w"] == pytest.approx(8.0)
    assert told["energy"]["why"] is None
    assert told["heat"]["warnings"] == ["slowed down as 3 turns ended: gpu-throttle-alert at step 1"]


def test_a_machine_without_sensors_is_measured_all_the_same(tmp_path: Path) -> None:
    watch = Watch("cpu", Schedule(), tmp_path)
    assert watch.long_turn is None
    with watch.turn("a"):
        pass
    assert watch.energy_j({"name": "a", "images_per_s": 5.0}) is None
    assert watch.to_json()["energy"]["why"]


def test_a_row_that_computes_elsewhere_has_the_joules_of_a_whole_module_alone(root: Path, tmp_path: Path) -> None:
    zone = tmp_path / "rapl/sys/class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    for name, content in {"name": "package-0", "energy_uj": "5", "max_energy_range_uj": "9"}.items():
        (zone / name).write_text(content)
    module, package = (Watch("cpu", LONG_ENOUGH, folder) for folder in (root, tmp_path / "rapl"))
    for watch in (module, package):
        with watch.turn("a"):
            time.sleep(0.12)
    row = {"name": "a", "images_per_s": 2.0}
    assert module.energy_j(row, on="cuda") == module.energy_j(row, on="cpu") == pytest.approx(4.0)
    assert (package.energy_j(row, on="cpu"), package.energy_j(row, on="cuda")) == (0.0, None)


class Gpu:
    """Time and power of a made-up GPU, and its NVML: a counter that moves on every 0.1 s, or the mean of a second."""

    def __init__(self, counts: bool) -> None:
        self.counts = counts
        self.now_s = 0.0
        self.past: list[tuple[float, float]] = []
        """Joules taken by a second."""
        self.joules_now = 0.0
        self.work(20.0, 30.0)

    def work(self, watts: float, seconds: float) -> None:
        """That much power for so long."""
        self.past.append((self.now_s, self.joules_now))
        self.now_s += seconds
        self.joules_now += watts * seconds

    def taken_by(self, second: float) -> float:
        """Joules until then."""
        began = max((moment for moment in self.past if moment[0] <= second), default=(0.0, 0.0))
        after = next((moment for moment in self.past if moment[0] > second), (self.now_s, self.joules_now))
        share = (second - began[0]) / (after[0] - began[0]) if after[0] > began[0] else 0.0
        return began[1] + share * (after[1] - began[1])

    def joules(self) -> float:
        if not self.counts:
            raise NvmlError("not supported")
        return self.taken_by(math.floor(self.now_s * 10) / 10)

    def watts(self) -> float:
        return self.joules_now - self.taken_by(self.now_s - 1.0)

    def reasons(self) -> int:
        return 0

    def candidate(self, name: str, watts: float, taking_s: float) -> Candidate:
        """Something that takes so much power and time an inference."""
        return Candidate(name, lambda: lambda: self.work(watts, taking_s))


@pytest.fixture
def gpu_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], Gpu]:
    """`gpu_of(counts)`: the GPU that everything asks, and whose time everything goes by."""

    def make(counts: bool) -> Gpu:
        gpu = Gpu(counts)
        monkeypatch.setattr(watched, "nvml_of", lambda device: gpu)
        monkeypatch.setattr("bench.machine.energy.time.perf_counter", lambda: gpu.now_s)
        monkeypatch.setattr("bench.machine.energy.time.sleep", lambda seconds: gpu.work(20.0, seconds))
        return gpu

    return make


@pytest.mark.parametrize(("counts", "within", "metered_s"), [(True, 0.05, 2.0), (False, 0.01, 8.0)])
def test_a_sensor_too_slow_for_the_rounds_tells_its_joules_in_a_turn_of_their_own(
    gpu_of: Callable[[bool], Gpu], tmp_path: Path, counts: bool, within: float, metered_s: float
) -> None:
    """An engine at 60 W and one at 300 W, 4 ms and 7 ms an inference, in turns of 0.15 s."""
    gpu = gpu_of(counts)
    watch = Watch("cuda", Schedule(), tmp_path)
    candidates = [gpu.candidate("frugal", 60.0, 0.004), gpu.candidate("greedy", 300.0, 0.007)]
    clock = lambda: round(gpu.now_s * 1e9)  # noqa: E731
    rows = measure(candidates, Schedule(), clock, during=watch.turn, long_turn=watch.long_turn)
    frugal, greedy = (row.to_json() for row in rows)
    assert watch.energy_j(frugal) == pytest.approx(60 * 0.004, rel=within)
    assert watch.energy_j(greedy) == pytest.approx(300 * 0.007, rel=within)
    told = watch.to_json()["energy"]
    assert (told["why"], told["long_turn_s"]) == (None, metered_s)
    assert told["idle_w"] == pytest.approx(20.0)


def test_a_sensor_quick_enough_charges_the_rounds_and_asks_for_no_other_turn(
    gpu_of: Callable[[bool], Gpu], tmp_path: Path
) -> None:
    gpu = gpu_of(True)
    schedule = Schedule(min_s=10.0)
    watch = Watch("cuda", schedule, tmp_path)
    assert watch.long_turn is None
    with watch.turn("a"):
        gpu.work(100.0, 1.0)
    assert watch.meter.mean_w("a") == pytest.approx(100.0)
    assert watch.to_json()["energy"]["long_turn_s"] is None
