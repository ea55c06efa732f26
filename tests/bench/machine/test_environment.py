"""Readers on texts of real machines, and the whole description on this one."""

import json
import os

from bench.machine.environment import describe, memory_gib, parse_gpus, parse_toolkit
from pipeline.facts import facts as machine_facts


def test_memory() -> None:
    assert memory_gib("MemFree: 1 kB\n") is None
    assert memory_gib("MemTotal:       16384000 kB\nMemFree: 1 kB\n") == 15.6


def test_gpus_of_nvidia_smi() -> None:
    """Values that a GPU does not tell are None."""
    answer = (
        "Tesla T4, 550.54, 15360, 300, 1590, 405, 70.00, 41\n"
        "Orin (nvgpu), 540.3.0, [N/A], [N/A], [N/A], [N/A], [N/A], [N/A]\n"
    )
    first, second = parse_gpus(answer)
    assert first == {
        "name": "Tesla T4",
        "driver": "550.54",
        "memory_mib": 15360,
        "clock_mhz": 300,
        "max_clock_mhz": 1590,
        "memory_clock_mhz": 405,
        "power_limit_w": 70.0,
        "temperature_c": 41,
    }
    assert (second["name"], second["memory_mib"]) == ("Orin (nvgpu)", None)
    assert parse_gpus("No devices were found\n") == []


def test_toolkit() -> None:
    told = '{"cuda": {"name": "CUDA SDK", "version": "12.6.11"}, "cuda_cudart": {"version": "12.6.68"}}'
    assert parse_toolkit(told) == "12.6.11"
    assert parse_toolkit("") is None and parse_toolkit("[]") is None


def test_this_machine_is_plain_data() -> None:
    facts = describe(threads=1)
    assert json.loads(json.dumps(facts)) == facts
    assert facts["cpu"]["model"]
    assert facts["cpu"]["threads"] == 1
    assert facts["cpu"]["cores"] == os.cpu_count()
    assert facts["cpu"]["usable_cores"] == machine_facts()["cores"]
    packages = facts["packages"]
    assert packages["torch"] and packages["numpy"]
    assert packages["onnxruntime"] == machine_facts()["onnxruntime"]
    assert "tensorrt" in packages
