"""Temperatures and slow-downs of a made-up /sys, and nvidia-smi's words."""

from pathlib import Path

import pytest

from bench.machine import heat
from bench.machine.heat import (
    Heat,
    change,
    cooling,
    gpu_heat,
    parse_gpu_heat,
    read_heat,
    reasons,
    slowdowns,
    warnings,
    zones,
)


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{content}\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An Orin: a zone without a sensor, two of one name, a fan, a throttle at rest and one at work."""
    thermal = tmp_path / "sys/class/thermal"
    for number, (name, temp) in enumerate([("cpu-thermal", 49468), ("gpu-thermal", 50125), ("gpu-thermal", 51000)]):
        write(thermal / f"thermal_zone{number}/type", name)
        write(thermal / f"thermal_zone{number}/temp", temp)
    write(thermal / "thermal_zone10/type", "cv0-thermal")
    (thermal / "thermal_zone10/temp").mkdir()
    for number, (name, state) in enumerate([("pwm-fan", 3), ("cpu-throttle-alert", 0), ("gpu-throttle-alert", 2)]):
        write(thermal / f"cooling_device{number}/type", name)
        write(thermal / f"cooling_device{number}/cur_state", state)
    write(tmp_path / "sys/class/hwmon/hwmon3/oc3_event_cnt", 37)
    for core in (0, 1):
        write(tmp_path / f"sys/devices/system/cpu/cpu{core}/thermal_throttle/core_throttle_count", core + 1)
    return tmp_path


def test_zones_that_answer(root: Path) -> None:
    assert zones(root) == {"cpu-thermal": 49.468, "gpu-thermal": 50.125, "gpu-thermal (thermal_zone2)": 51.0}


def test_a_fan_is_no_slow_down(root: Path) -> None:
    assert cooling(root) == ("gpu-throttle-alert at step 2",)


def test_counts_are_summed_by_why(root: Path) -> None:
    assert slowdowns(root) == {"CPU cores too hot": 3, "over-current": 37}


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    assert (zones(tmp_path), cooling(tmp_path), slowdowns(tmp_path)) == ({}, (), {})


def test_idleness_and_settings_are_no_slow_down() -> None:
    assert reasons(0x01 | 0x02 | 0x100) == ()
    assert reasons(0x04 | 0x40) == ("power cap", "thermal slowdown by the hardware")


def test_lines_of_nvidia_smi() -> None:
    told = "41, 0x0000000000000001\n83, 0x0000000000000024\n[N/A], [N/A]\n"
    assert parse_gpu_heat(told) == [
        (41.0, ()),
        (83.0, ("power cap", "thermal slowdown by the driver")),
        (None, ()),
    ]


def test_an_older_driver_is_asked_by_the_older_name(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    def said(*command: str) -> str | None:
        return "80, 0x40\n" if "clocks_throttle_reasons.active" in command[1] else None

    monkeypatch.setattr(heat, "said", said)
    assert gpu_heat() == [(80.0, ("thermal slowdown by the hardware",))]
    found = read_heat(root)
    assert found.temperatures_c["GPU 0"] == 80.0
    assert found.throttling == ["gpu-throttle-alert at step 2", "GPU 0: thermal slowdown by the hardware"]


def test_a_steady_machine_warns_of_nothing() -> None:
    calm = Heat({"cpu": 50.0}, [], {"over-current": 37})
    assert warnings(calm, Heat({"cpu": 64.9}, [], {"over-current": 37}), {}) == []


def test_what_a_reader_must_know() -> None:
    before = Heat({"cpu": 45.0, "gpu": 40.0}, [], {"over-current": 37})
    after = Heat({"cpu": 60.0, "gpu": 50.0, "new": 99.0}, ["Processor at step 1"], {"over-current": 40, "new": 9})
    assert warnings(before, after, {"GPU: power cap": 4}) == [
        "slowed down as 4 turns ended: GPU: power cap",
        "slowed down before or after the measurement: Processor at step 1",
        "slowed down 3 times meanwhile: over-current",
        "cpu rose by 15 degrees to 60 C: later turns ran on a warmer machine",
    ]
    assert change(before, after, {})["after"]["slowdowns"] == {"over-current": 40, "new": 9}
