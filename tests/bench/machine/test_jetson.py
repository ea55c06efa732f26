"""Words of a Jetson's programs and files, as boards print them."""

from pathlib import Path

import pytest

from bench.machine import jetson
from bench.machine.jetson import (
    describe_jetson,
    gpu_clock,
    kept_power_mode,
    locked,
    parse_clocks,
    parse_power_mode,
    parse_release,
)

RELEASE = """# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37
# KERNEL_VARIANT: oot
TARGET_USERSPACE_LIB_DIR=nvidia
"""
SHOWN = """SOC family:tegra234  Machine:NVIDIA Jetson Orin Nano Developer Kit
Online CPUs: 0-5
cpu0:  Online=1 Governor=schedutil MinFreq=729600 MaxFreq=1344000 CurrentFreq=1190400 IdleStates: WFI=1 c7=1
cpu5:  Online=1 Governor=schedutil MinFreq=729600 MaxFreq=1344000 CurrentFreq=729600 IdleStates: WFI=1 c7=1
GPU MinFreq=306000000 MaxFreq=918000000 CurrentFreq=306000000
Active GPU TPCs: 4
EMC MinFreq=204000000 MaxFreq=3199000000 CurrentFreq=2133000000 FreqOverride=0
FAN Dynamic Speed Control=nvfancontrol hwmon0_pwm1=69
NV Power Mode: 25W
"""
LOCKED = """cpu0: Online=1 Governor=schedutil MinFreq=1479000 MaxFreq=1479000 CurrentFreq=1479000 IdleStates: WFI=0 c7=0
GPU MinFreq=921600000 MaxFreq=921600000 CurrentFreq=921600000
EMC MinFreq=204000000 MaxFreq=1600000000 CurrentFreq=1600000000 FreqOverride=1
"""


@pytest.mark.parametrize(
    ("told", "mode"),
    [
        ("NV Power Mode: MAXN\n0\n", {"name": "MAXN", "number": 0}),
        ("NVPM WARN: fan mode is not set!\nNV Power Mode: MODE_30W\n2\n", {"name": "MODE_30W", "number": 2}),
        ("NV Fan Mode:quiet\nNV Power Mode: MODE_15W\n2\n", {"name": "MODE_15W", "number": 2}),
        ("NVPM ERROR: Error opening /var/lib/nvpmodel/status: 13\n", None),
        ("", None),
    ],
)
def test_power_mode(told: str, mode: dict[str, object] | None) -> None:
    assert parse_power_mode(told) == mode


def test_power_mode_where_nvpmodel_cannot_be_asked(tmp_path: Path) -> None:
    assert kept_power_mode(tmp_path) is None
    (tmp_path / "var/lib/nvpmodel").mkdir(parents=True)
    (tmp_path / "var/lib/nvpmodel/status").write_text("pmode:0002 fmode:quiet\n")
    assert kept_power_mode(tmp_path) == {"name": "mode 2", "number": 2}
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nvpmodel.conf").write_text(
        "# < POWER_MODEL ID=id NAME=name >\n< POWER_MODEL ID=2 NAME=MODE_30W >\n"
    )
    assert kept_power_mode(tmp_path) == {"name": "MODE_30W", "number": 2}


def test_release() -> None:
    assert parse_release(RELEASE) == "36.4.3"
    assert parse_release("something else") is None


def test_clocks_in_one_unit() -> None:
    clocks = parse_clocks(SHOWN)
    assert clocks == {
        "cpu0": {"min_mhz": 729.6, "max_mhz": 1344.0, "now_mhz": 1190.4},
        "cpu5": {"min_mhz": 729.6, "max_mhz": 1344.0, "now_mhz": 729.6},
        "GPU": {"min_mhz": 306.0, "max_mhz": 918.0, "now_mhz": 306.0},
        "EMC": {"min_mhz": 204.0, "max_mhz": 3199.0, "now_mhz": 2133.0},
    }
    assert not locked(clocks)
    assert locked(parse_clocks(LOCKED))
    assert parse_clocks("Please run as root\n") == {}


def test_the_gpus_clock_is_read_without_root(tmp_path: Path) -> None:
    for device, clock in (("15340000.vic", 1), ("17000000.gpu", 306_000_000)):
        folder = tmp_path / "sys/class/devfreq" / device
        folder.mkdir(parents=True)
        for name in ("min", "max", "cur"):
            (folder / f"{name}_freq").write_text(f"{clock}\n")
    assert gpu_clock(tmp_path) == {"min_mhz": 306.0, "max_mhz": 306.0, "now_mhz": 306.0}
    assert gpu_clock(tmp_path / "elsewhere") is None


def test_a_board_without_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text(RELEASE)
    told = {"nvpmodel": "NV Power Mode: 15W\n0\n", "dpkg-query": "6.2.1+b38"}
    monkeypatch.setattr(jetson, "said", lambda *command: told[command[0]])
    monkeypatch.setattr(jetson, "answer", lambda command: (None, "Please run as root"))
    assert describe_jetson(tmp_path) == {
        "l4t": "36.4.3",
        "jetpack": "6.2.1+b38",
        "power_mode": {"name": "15W", "number": 0},
        "clocks": {},
        "clocks_locked": None,
        "clocks_why": "Please run as root",
        "gpu_clock": None,
    }


def test_another_machine_is_no_jetson(tmp_path: Path) -> None:
    assert describe_jetson(tmp_path) is None
