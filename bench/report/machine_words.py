"""What a report says of the machine beyond its latencies: roofline, energy and memory, power mode, heat."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.report.words import Report, cell, number

ROOFLINE_HEADER = ("candidate", "share, %", "attainable, ms", "p50, ms", "GFLOP/s", "FLOP a byte", "dtype", "bound by")
PEAK_HEADER = ("dtype", "measured with", "GFLOP/s")
EXTRAS = {"energy_j": "energy, J an inference", "peak_mib": "peak memory, MiB"}
"""Fields of a row that only some machines and runs can fill -> the heads of their columns."""
ABOVE = (
    "A share above 100 % means that a runtime multiplies less than is counted, that caches kept what one layer wrote "
    "for the next, or that the peaks stayed below what the machine can do."
)
BOUND = {"memory": "memory bandwidth", "compute": "arithmetic"}
MACHINE_FACTS = ("cuda", "jetson", "energy", "heat")
"""Facts of an environment that `machine_rows` has words for."""


def roofline_words(found: Mapping[str, Any]) -> str:
    """How it was measured, and how a share is to be read."""
    on_cpu = found.get("device") == "cpu"
    threads = f" on {found['threads']} thread{'s' if found['threads'] != 1 else ''}" if on_cpu else ""
    return (
        f"Measured here in the same run{threads}: the best of many {tried(found)}, and a large copy at "
        f"{number(found['copy_gb_s'])} GB/s (bytes read and written). The attainable time is the sum over a network's "
        "layers of the longer of arithmetic and memory traffic, everything else taken as fused; the share is "
        "attainable time / p50." + (f" {ABOVE}" if any(one["share"] > 1 for one in found["models"]) else "")
    )


def tried(found: Mapping[str, Any]) -> str:
    """What the peaks were sought with; older reports, whose peaks tell the side of a matrix at most, knew no other."""
    convolutions = any("what" in peak for peak in found["peaks"].values())
    return "large matrix products and convolutions" if convolutions else "large matrix products"


def peak_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """A row for each dtype."""
    return [[dtype, peak_source(peak), number(peak["gflops"])] for dtype, peak in found["peaks"].items()]


def peak_source(peak: Mapping[str, Any]) -> str:
    """Library, function and sizes; older reports tell the side of a square matrix, or nothing."""
    if "by" not in peak:
        return "-"
    return f"{peak['by']}, {peak['what'] if 'what' in peak else '{0} x {0}'.format(peak['side'])}"


def roofline_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """A row for each measured candidate."""
    return [
        [
            one["name"],
            f"{100 * one['share']:.1f}",
            *(number(one.get(name)) for name in ("attainable_ms", "p50_ms", "attained_gflops", "flops_per_byte")),
            cell(one.get("dtype")),
            BOUND.get(one["bound"], one["bound"]),
        ]
        for one in found["models"]
    ]


def extra_table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of energy and peak memory: the columns that some row fills, the rows that fill some column."""
    shown = [name for name in EXTRAS if any(row.get(name) is not None for row in rows)]
    found = [row for row in rows if any(row.get(name) is not None for name in shown)]
    header = ["candidate", *(EXTRAS[name] for name in shown)]
    return header, [[row["name"], *(number(row.get(name)) for name in shown)] for row in found]


def extra_words(report: Report) -> str:
    """What the joules and the MiB are of."""
    energy = report["environment"].get("energy") or {}
    where = "GPU memory" if report["latency"]["settings"].get("device") == "cuda" else "Resident memory"
    memory = f"{where} of a process of its own that loads the file and infers twice, the code of the runtime left out."
    if not energy.get("sensor"):
        return f"{memory} Energy is not readable: {energy.get('why') or 'not asked'}."
    return f"{memory} Energy by {energy['sensor']}: of {energy['covers']}, idle power included."


def machine_rows(facts: Mapping[str, Any]) -> list[list[Any]]:
    """Name and value of a Jetson's facts, CUDA, energy and heat; older reports have none."""
    return [
        *jetson_rows(facts.get("jetson") or {}),
        *cuda_rows(facts.get("cuda") or {}),
        *energy_rows(facts.get("energy") or {}),
        *heat_rows(facts.get("heat") or {}),
    ]


def jetson_rows(jetson: Mapping[str, Any]) -> list[list[Any]]:
    """Power mode, clocks, software of the board."""
    if not jetson:
        return []
    mode = jetson["power_mode"]
    gpu = jetson["gpu_clock"]
    held = {True: "held by jetson_clocks", False: "free within the mode", None: jetson["clocks_why"]}
    return [
        ["power mode", f"{mode['name']} ({mode['number']})" if mode else "not readable"],
        ["clocks", held[jetson["clocks_locked"]]],
        ["GPU clock", gpu and f"{number(gpu['now_mhz'])} of {number(gpu['max_mhz'])} MHz at start"],
        ["L4T, JetPack", f"{cell(jetson['l4t'])}, {cell(jetson['jetpack'])}"],
    ]


def cuda_rows(cuda: Mapping[str, Any]) -> list[list[Any]]:
    """CUDA where there is a driver; a runtime library without one does nothing."""
    if not cuda.get("driver_serves"):
        return []
    words = f"driver serves {cuda['driver_serves']}, runtime {cell(cuda['runtime'])}, toolkit {cell(cuda['toolkit'])}"
    return [["CUDA", words]]


def energy_rows(energy: Mapping[str, Any]) -> list[list[Any]]:
    """The sensor with the power at rest, or why there is none."""
    if not energy:
        return []
    if not energy["sensor"]:
        return [["energy", f"not readable: {energy['why']}"]]
    rest = "" if energy["idle_w"] is None else f", {number(energy['idle_w'])} W at rest"
    why = f"; {energy['why']}" if energy["why"] else ""
    return [["energy", f"{energy['sensor']}, {energy['covers']}{rest}{why}"]]


def heat_rows(heat: Mapping[str, Any]) -> list[list[Any]]:
    """Temperatures before and after, and what slowed down."""
    if not heat:
        return []
    before, after = (heat[when]["temperatures_c"] for when in ("before", "after"))
    shown = "; ".join(f"{name} {before.get(name, value):.0f} to {value:.0f}" for name, value in after.items())
    return [["temperatures, C", shown or None], *(["slow-down or heat", warning] for warning in heat["warnings"])]


def heat_warnings(report: Report) -> list[str]:
    """What a reader of a report's latencies must know of heat and slow-downs."""
    return list((report["environment"].get("heat") or {}).get("warnings", []))
