"""A report in one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.report.words import Report, out_of_place, times


@dataclass(frozen=True)
class Shipped:
    """The quickest scored file of the student, beside the teacher in the same runtime."""

    name: str
    """Of the file, without its suffix."""
    runtime: str
    ratio: Mapping[str, Any]
    """How many times slower the teacher is, from their paired rounds, with its interval."""
    teacher_ms: float
    student_ms: float
    """Medians."""
    points: float | None
    """mIoU of that very file less the teacher's, in points; None where they were not scored on the same images."""


def summary(report: Report) -> str:
    """One sentence, its halves joined by a semicolon."""
    return "; ".join(halves(report))


def halves(report: Report) -> list[str]:
    """The student against the teacher, then the file that ships against the teacher in its runtime.

    Parameters and MACs by the paper's convention, speed by the paired ratio of the two in one runtime; what was not
    measured is left out.

        5.4x fewer parameters, 4.6x fewer MACs, 4.4x faster in torch, -1.2 mIoU
        student.int8-cpu.labels in onnxruntime: 9.1x faster than the fp32 teacher there, -1.4 mIoU
    """
    parts = []
    costs = report["complexity"]
    for key, words in (("params_with_aux", "parameters"), ("macs_with_aux", "MACs")):
        parts.append(times(costs["teacher"][key] / costs["student"][key], f"fewer {words}", f"more {words}"))
    ratio = ratio_of(report, "teacher torch", "student torch")
    if ratio is not None:
        parts.append(speed_words(ratio, "in torch"))
    student, teacher = (scored(report, role) for role in ("student", "teacher"))
    if student and teacher:
        parts.append(points_words(100 * (student["miou"] - teacher["miou"])))
    return [", ".join(parts), *shipped_words(shipped(report))]


def shipped_words(found: Shipped | None) -> list[str]:
    """The sentence's second half; nothing where no file was measured beside the teacher."""
    if found is None:
        return []
    parts = [speed_words(found.ratio, "than the fp32 teacher there")]
    parts += [] if found.points is None else [points_words(found.points)]
    return [f"{found.name} in {found.runtime}: {', '.join(parts)}"]


def speed_words(ratio: Mapping[str, Any], where: str) -> str:
    """`4.4x faster in torch`; a ratio whose interval holds 1 shows nothing."""
    if ratio["low"] <= 1 <= ratio["high"]:
        return f"not shown to be faster {where}"
    return times(ratio["ratio"], f"faster {where}", f"slower {where}")


def points_words(points: float) -> str:
    """`-1.2 mIoU`."""
    return f"{points:+z.1f} mIoU"


def shipped(report: Report) -> Shipped | None:
    """The quickest file that gives labels, or of any if none does; torch ships no file, a form of TensorRT no other
    runtime.

    The teacher of every other runtime is its fp32 file (`bench.candidates.teacher_onnx_entry`).
    """
    rows = {row["name"]: row for row in report["latency"]["rows"] if row["status"] == "ok"}
    found = [
        (row, name, ratio)
        for row in rows.values()
        if row["role"] == "student" and row.get("quantity", "inference") == "inference" and row["miou"] is not None
        and (name := f"teacher {row['runtime']}") in rows and not row["runtime"].startswith("torch")
        and not out_of_place(row)
        and (ratio := ratio_of(report, name, row["name"])) is not None
    ]  # fmt: skip
    if not found:
        return None
    row, teacher, ratio = max(found, key=lambda one: (one[0]["output"] == "labels", one[2]["ratio"]))
    score = scored(report, "teacher") if report["parity"]["split"] == report["data"]["split"] else None
    comparable = score is not None and score["images"] == row["miou_images"]
    return Shipped(
        name=row["name"].removesuffix(f" {row['runtime']}"),
        runtime=row["runtime"],
        ratio=ratio,
        teacher_ms=rows[teacher]["statistics"]["p50_ms"],
        student_ms=row["statistics"]["p50_ms"],
        points=100 * (row["miou"] - score["miou"]) if score is not None and comparable else None,
    )


def ratio_of(report: Report, numerator: str, denominator: str) -> Mapping[str, Any] | None:
    """The paired ratio of two rows; None where they have none."""
    found: Sequence[Mapping[str, Any]] = report["latency"]["ratios"]
    return next((r for r in found if (r["numerator"], r["denominator"]) == (numerator, denominator)), None)


def scored(report: Report, role: str) -> Mapping[str, Any] | None:
    """Scores of a trained network on the quoted split."""
    found: Mapping[str, Any] | None = report["accuracy"].get(role, {}).get(report["data"]["split"])
    return found
