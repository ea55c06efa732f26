"""Which exported student to ship under a budget."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.report.points import Point, by_machine
from bench.report.words import out_of_place
from pipeline.errors import StoreError
from pipeline.nearest import nearest


@dataclass(frozen=True)
class Quantity:
    """What a budget may limit."""

    of: Callable[[Point], float | None]
    at_least: bool
    """Whether the limit is the least that is asked for, rather than the most that is allowed."""


QUANTITIES: Mapping[str, Quantity] = {
    "latency_ms": Quantity(lambda point: point.p50_ms, at_least=False),
    "p90_ms": Quantity(lambda point: point.p90_ms, at_least=False),
    "miou": Quantity(lambda point: 100 * point.miou, at_least=True),
    "params_m": Quantity(lambda point: None if point.params is None else point.params / 1e6, at_least=False),
    "peak_mib": Quantity(lambda point: point.peak_mib, at_least=False),
    "energy_j": Quantity(lambda point: point.energy_j, at_least=False),
}
"""`latency_ms` is the median, `miou` is in percent."""
NO_FILES = ("torch", "torch-compiled")
"""Runtimes of the trained network itself."""


def parse_budget(texts: Sequence[str]) -> dict[str, float]:
    """{"latency_ms": 10.0} of ["latency_ms=10"]; StoreError for an unknown quantity or a value that is no number."""
    limits = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in QUANTITIES:
            raise StoreError(f"--budget {text}: cannot limit {name!r}; {nearest(name, list(QUANTITIES))}")
        try:
            limits[name] = float(value)
        except ValueError:
            limits[name] = math.nan
        if not math.isfinite(limits[name]):
            raise StoreError(f"--budget {text}: write it as {name}=NUMBER, e.g. latency_ms=10")
    return limits


def choose(found: Sequence[Point], limits: Mapping[str, float]) -> list[dict[str, Any]]:
    """For each machine the exported student within the limits: highest mIoU, then lowest latency; None where none fits.

    torch, compiled or not, is left out: a student ships as a file; so is a form of TensorRT in another runtime. A
    quantity that was not measured keeps no limit.
    """
    students = [point for point in found if point.role == "student" and point.runtime not in NO_FILES]
    shipped = [point for point in students if not out_of_place(asdict(point))]
    answers = []
    for name, here in by_machine(shipped).items():
        fits = [point for point in here if all(within(point, *limit) for limit in limits.items())]
        best = min(fits, key=lambda point: (-point.miou, point.p50_ms), default=None)
        best_json = asdict(best) if best else None
        answers.append({"machine": name, "best": best_json, "fit": len(fits), "candidates": len(here)})
    return answers


def within(point: Point, name: str, limit: float) -> bool:
    """Whether a point keeps one limit."""
    quantity = QUANTITIES[name]
    value = quantity.of(point)
    return value is not None and (value >= limit if quantity.at_least else value <= limit)


def budget_text(limits: Mapping[str, float], answers: Sequence[Mapping[str, Any]]) -> str:
    """The choice in words, a line for each machine."""
    asked = ", ".join(
        f"{name} {'>=' if QUANTITIES[name].at_least else '<='} {limit:g}" for name, limit in limits.items()
    )
    if not answers:
        return f"{asked}: no exported student was both measured and scored"
    return "\n".join(f"{asked} on {answer['machine']}: {choice_text(answer)}" for answer in answers)


def choice_text(answer: Mapping[str, Any]) -> str:
    """The student that was chosen on one machine."""
    best = answer["best"]
    if best is None:
        return f"none of {answer['candidates']} exported forms fits"
    return (
        f"{best['name']}: mIoU {100 * best['miou']:.2f} on {best['images']} images, p50 {best['p50_ms']:.3g} ms "
        f"({answer['fit']} of {answer['candidates']} forms fit)"
    )
