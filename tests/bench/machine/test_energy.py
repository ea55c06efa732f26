"""Joules against hand-computed ones, with sensors in a made-up /sys."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.machine.energy import Meter, Packages, Sensor, integral, jetson_rails, open_meter
from bench.machine.nvml import NvmlError


def write(folder: Path, **files: str | int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n")


def orin_nano(root: Path) -> Path:
    """5 V at 1.6 A into the module: 8 W; the chip's own sum of shunts has no voltage."""
    chip = root / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"
    write(chip, in1_label="VDD_IN", in1_input=5000, curr1_input=1600)
    write(chip, in2_label="VDD_CPU_GPU_CV", in2_input=5000, curr2_input=400)
    write(chip, in3_label="VDD_SOC", in3_input=5000, curr3_input=300)
    write(chip, in7_label="sum of shunt voltages", curr4_input=2300)
    return chip


def agx_orin(root: Path) -> None:
    """20 V x 0.5 A + 20 V x 0.25 A + 5 V x 1 A: 20 W. The rail of the memory hangs on the 5 V one."""
    drivers = root / "sys/bus/i2c/drivers/ina3221"
    write(drivers / "1-0040/hwmon/hwmon3", in1_label="VDD_GPU_SOC", in1_input=20000, curr1_input=500)
    write(drivers / "1-0040/hwmon/hwmon3", in2_label="VDD_CPU_CV", in2_input=20000, curr2_input=250)
    write(drivers / "1-0040/hwmon/hwmon3", in3_label="VIN_SYS_5V0", in3_input=5000, curr3_input=1000)
    write(drivers / "1-0041/hwmon/hwmon4", in2_label="VDDQ_VDD2_1V8AO", in2_input=5000, curr2_input=100)


def rapl(root: Path, *packages: int, most: int = 10_000) -> list[Path]:
    folder = root / "sys/class/powercap"
    zones = [folder / f"intel-rapl:{number}" for number in range(len(packages))]
    for number, (zone, energy) in enumerate(zip(zones, packages, strict=True)):
        write(zone, name=f"package-{number}", energy_uj=energy, max_energy_range_uj=most)
    write(folder / "intel-rapl:0:0", name="core", energy_uj=1, max_energy_range_uj=most)
    write(folder / "intel-rapl:7", name="psys", energy_uj=1, max_energy_range_uj=most)
    return zones


def counting(values: Iterator[float], least_turn_s: float = 0.0) -> Sensor:
    return Sensor("counter", "all", lambda: next(values), True, least_turn_s)


def test_trapezoids_by_hand() -> None:
    assert integral([(0.0, 2.0), (1.0, 4.0), (3.0, 4.0)]) == 3.0 + 8.0
    assert integral([(0.0, 2.0)]) == 0.0


def test_the_modules_rail_is_the_total_where_there_is_one(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    assert set(jetson_rails(tmp_path)) == {"VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"}
    meter = open_meter("cuda", None, tmp_path)
    assert meter.sensor and meter.sensor.name == "INA3221 VDD_IN"
    assert meter.sensor.read() == pytest.approx(8.0)


def test_the_rails_of_an_agx_orin_are_added(tmp_path: Path) -> None:
    agx_orin(tmp_path)
    meter = open_meter("cpu", None, tmp_path)
    assert meter.sensor and meter.sensor.name == "INA3221 VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0"
    assert meter.sensor.read() == pytest.approx(20.0)


def test_the_older_driver_tells_milliwatts(tmp_path: Path) -> None:
    folder = tmp_path / "sys/bus/i2c/drivers/ina3221x/7-0040/iio:device0"
    write(folder, rail_name_0="VDD_IN", in_power0_input=4200)
    meter = open_meter("cuda", None, tmp_path)
    assert meter.sensor and meter.sensor.read() == pytest.approx(4.2)


def test_rails_that_nobody_knows_are_named_and_not_added(tmp_path: Path) -> None:
    chip = tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"
    write(chip, in1_label="VDD_NEW", in1_input=5000, curr1_input=100)
    told = open_meter("cuda", None, tmp_path).to_json()
    assert told["sensor"] is None and "VDD_NEW" in told["why"]


def test_packages_add_up_and_their_counters_wrap(tmp_path: Path) -> None:
    zones = rapl(tmp_path, 9_000, 500)
    meter = open_meter("cpu", None, tmp_path)
    assert meter.sensor and (meter.sensor.name, meter.sensor.counts) == ("RAPL", True)
    assert meter.sensor.read() == 0.0
    write(zones[0], energy_uj=1_000)
    write(zones[1], energy_uj=700)
    assert meter.sensor.read() == pytest.approx((2_000 + 200) / 1e6)
    assert meter.sensor.read() == pytest.approx((2_000 + 200) / 1e6)
    assert len(Packages(zones).files) == 2


def test_without_any_sensor_there_is_a_reason_and_no_figure(tmp_path: Path) -> None:
    meter = open_meter("cpu", None, tmp_path)
    meter.rest()
    with meter.turn("a"):
        pass
    assert meter.mean_w("a") is None
    told = meter.to_json()
    assert told["sensor"] is None and told["idle_w"] is None and "RAPL" in told["why"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_counter_for_root_alone_is_a_reason(tmp_path: Path) -> None:
    (zone,) = rapl(tmp_path, 1)
    (zone / "energy_uj").chmod(0)
    assert "root" in open_meter("cpu", None, tmp_path).why


def test_an_unreadable_counter_is_a_reason(tmp_path: Path) -> None:
    """A folder in the file's place fails to be read for root too."""
    (zone,) = rapl(tmp_path, 1)
    (zone / "energy_uj").unlink()
    (zone / "energy_uj").mkdir()
    assert "energy_uj cannot be read" in open_meter("cpu", None, tmp_path).why


def test_each_turn_is_charged_to_its_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock says 0, 1, 2 ... at each reading: a took 3 J and 1 J in a second each, b took 10 J in one."""
    ticks = iter(float(second) for second in range(100))
    monkeypatch.setattr("bench.machine.energy.time.perf_counter", lambda: next(ticks))
    meter = Meter(counting(iter([0.0, 3.0, 3.0, 13.0, 13.0, 14.0])))
    for name in ("a", "b", "a"):
        with meter.turn(name):
            pass
    assert meter.mean_w("a") == pytest.approx(2.0)
    assert meter.mean_w("b") == pytest.approx(10.0)
    assert meter.mean_w("c") is None


@pytest.mark.parametrize(("turn_s", "needed"), [(0.15, True), (0.49, True), (0.5, False), (3.0, False)])
def test_a_long_turn_is_asked_where_those_of_the_rounds_are_too_short(turn_s: float, needed: bool) -> None:
    meter = Meter(counting(iter([]), least_turn_s=0.5))
    asked = meter.long_turn(turn_s)
    assert (asked is not None) == needed
    if asked:
        assert (asked.lead_s, asked.metered_s) == (0.5, 2.0)
    assert Meter(None, "no sensor").long_turn(turn_s) is None


def test_a_sensor_that_was_never_read_to_the_end_of_a_turn_has_a_reason() -> None:
    meter = Meter(counting(iter([0.0, 3.0])))
    assert "no candidate came to the end of a turn" in meter.to_json()["why"]
    with meter.turn("a"):
        pass
    assert meter.to_json()["why"] is None


def test_a_sensor_that_falls_silent_stops_nothing() -> None:
    def read() -> float:
        raise OSError("the bus does not answer")

    for counts in (True, False):
        meter = Meter(Sensor("INA3221 X", "all", read, counts, 0.001))
        with meter.turn("a"):
            time.sleep(0.01)
        assert meter.mean_w("a") is None
        assert meter.to_json()["why"] == "INA3221 X: the bus does not answer"


def test_a_failing_candidate_leaves_no_thread_behind(tmp_path: Path) -> None:
    meter = Meter(Sensor("power", "all", lambda: 5.0, False, 0.001))
    with pytest.raises(RuntimeError), meter.turn("a"):
        raise RuntimeError("out of memory")
    assert meter.mean_w("a") is None
    with meter.turn("b"):
        time.sleep(0.01)
    assert meter.mean_w("b") == pytest.approx(5.0)
    assert not [thread for thread in threading.enumerate() if thread.name == "energy"]


def test_constant_power_is_that_power_at_rest_and_at_work() -> None:
    meter = Meter(Sensor("power", "all", lambda: 5.0, False, 0.002))
    meter.rest(0.02)
    with meter.turn("a"):
        time.sleep(0.03)
    assert meter.idle_w == pytest.approx(5.0)
    assert meter.mean_w("a") == pytest.approx(5.0)


class FakeNvml:
    """A GPU that tells its power and, where asked for, its energy."""

    def __init__(self, counter: bool, power: bool = True) -> None:
        self.counter, self.power = counter, power

    def joules(self) -> float:
        return self.told(self.counter, 7.0)

    def watts(self) -> float:
        return self.told(self.power, 70.0)

    def told(self, known: bool, value: float) -> float:
        if not known:
            raise NvmlError("not supported")
        return value


@pytest.mark.parametrize(
    ("nvml", "name"),
    [
        (FakeNvml(counter=True), "NVML total energy"),
        (FakeNvml(counter=False), "NVML power, sampled"),
        (FakeNvml(counter=False, power=False), None),
        (None, None),
    ],
)
def test_a_gpu_tells_energy_or_else_power(nvml: FakeNvml | None, name: str | None, tmp_path: Path) -> None:
    rapl(tmp_path, 5)
    meter = open_meter("cuda", nvml, tmp_path)  # type: ignore[arg-type]
    assert (meter.sensor.name if meter.sensor else None) == name
    assert bool(meter.why) == (name is None)


def test_the_processors_sensor_is_not_taken_for_the_gpus(tmp_path: Path) -> None:
    rapl(tmp_path, 5)
    meter = open_meter("cuda", None, tmp_path)
    assert meter.sensor is None and "NVML" in meter.why
