"""A measurement with a sensor in a made-up /sys: energy by candidate, slow-downs by turn."""

import time
from pathlib import Path

import pytest

from bench.machine.watch import Watch
from bench.timing import Candidate, Schedule, measure


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
    watch = Watch("cpu", root)
    schedule = Schedule(warmup_s=0.0, min_s=0.6, max_s=0.6, min_samples=1, repeats=3)
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
    watch = Watch("cpu", tmp_path)
    with watch.turn("a"):
        pass
    assert watch.energy_j({"name": "a", "images_per_s": 5.0}) is None
    assert watch.to_json()["energy"]["why"]


def test_a_row_that_computes_elsewhere_has_the_joules_of_a_whole_module_alone(root: Path, tmp_path: Path) -> None:
    zone = tmp_path / "rapl/sys/class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    for name, content in {"name": "package-0", "energy_uj": "5", "max_energy_range_uj": "9"}.items():
        (zone / name).write_text(content)
    module, package = Watch("cpu", root), Watch("cpu", tmp_path / "rapl")
    for watch in (module, package):
        with watch.turn("a"):
            time.sleep(0.12)
    row = {"name": "a", "images_per_s": 2.0}
    assert module.energy_j(row, on="cuda") == module.energy_j(row, on="cpu") == pytest.approx(4.0)
    assert (package.energy_j(row, on="cpu"), package.energy_j(row, on="cuda")) == (0.0, None)
