"""Every measured and scored form of a report, and of the reports added to it, as a point: cost against accuracy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.report.reading import machine
from bench.report.summary import summary
from bench.report.words import ROLES, network, percent

Report = Mapping[str, Any]
SAME = "same"
"""`accuracy.pictures` of an added board's row that scored the pictures of the report (`bench.report.added.marked`)."""


@dataclass(frozen=True)
class Point:
    """A file in a runtime on a machine, with the accuracy of that very file."""

    machine: str
    network: str
    role: str
    name: str
    """The row's name in its latency table."""
    runtime: str
    file: str | None
    output: str | None
    params: int | None
    """Parameters as deployed; None where the report does not tell them (a board's)."""
    miou: float
    """Share of 1, over `images` pictures."""
    images: int
    p50_ms: float
    p90_ms: float
    energy_j: float | None
    """Joules an inference, where they could be read."""
    peak_mib: float | None
    """Peak memory, where it could be read."""


@dataclass(frozen=True)
class Dot:
    """A trained network: parameters against accuracy, as in the paper's figure 4."""

    label: str
    network: str
    role: str
    params: int
    """With the auxiliary head, as the paper counts."""
    miou: float


def with_added(report: Report) -> list[Report]:
    """The report and those that were added to it."""
    return [report, *(one["report"] for one in report.get("added", []))]


def points(report: Report) -> list[Point]:
    """The points of all its machines, in the order of the tables; none of a board's that scored other pictures.

    Their mIoU would stand on the axis of this report's split and mean something else.
    """
    return [
        point
        for one in with_added(report)
        for row in one["latency"]["rows"]
        if one is report or same_pictures(row)
        for point in point_of(one, row)
    ]


def same_pictures(row: Mapping[str, Any]) -> bool:
    """Whether an added row's accuracy is of the report's own pictures: a board's must be known to be."""
    return scored(row) is row or scored(row).get("pictures") == SAME


def headline(report: Report) -> str:
    """One sentence: the student against the teacher, or what a board measured."""
    if report.get("kind") != "board":
        return summary(report)
    ok = [row for row in report["latency"]["rows"] if row["status"] == "ok" and row.get("quantity") == "inference"]
    fastest = min(ok, key=lambda row: float(row["statistics"]["p50_ms"]), default=None)
    words = board_words(fastest) if fastest else "nothing measured"
    return f"{network_of(report, 'student')} on {machine(report)}: {words}"


def board_words(row: Mapping[str, Any]) -> str:
    """`p50 1.5 ms at best (student.fp16.labels tensorrt inference), mIoU not measured`."""
    score = score_of(row)
    accuracy = "not measured" if score is None else f"{percent(score[0])} % on {score[1]} images"
    return f"p50 {row['statistics']['p50_ms']:.3g} ms at best ({row['name']}), mIoU {accuracy}"


def point_of(report: Report, row: Mapping[str, Any]) -> Iterator[Point]:
    """The point of a row; nothing for one that was not measured, not scored, or is not an inference alone."""
    score = score_of(row)
    if row["status"] != "ok" or score is None or row.get("quantity", "inference") != "inference":
        return
    role = row["role"]
    yield Point(
        machine=machine(report),
        network=network_of(report, role),
        role=role,
        name=row["name"],
        runtime=row["runtime"],
        file=row["file"],
        output=row["output"],
        params=params_of(report, role),
        miou=score[0],
        images=scored(row)["miou_images"] or 0,
        p50_ms=row["statistics"]["p50_ms"],
        p90_ms=row["statistics"]["p90_ms"],
        energy_j=row.get("energy_j"),
        peak_mib=row.get("peak_mib"),
    )


def score_of(row: Mapping[str, Any]) -> tuple[float, str] | None:
    """mIoU of a row's file and of how many images, in words; None where it was not scored.

    `50 other` and `50 unknown` are images that are not, or not known to be, those of the report.
    """
    found = scored(row)
    miou, pictures = found.get("miou"), found.get("pictures", SAME)
    words = f"{found.get('miou_images') or 0}" + ("" if pictures == SAME else f" {pictures}")
    return None if miou is None else (miou, words)


def scored(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where a row keeps its accuracy: a board's has it apart, or says in words why there is none."""
    accuracy = row.get("accuracy")
    return accuracy if isinstance(accuracy, Mapping) else row


def network_of(report: Report, role: str) -> str:
    """Name of the network that plays a role; a board knows only its student's."""
    if "models" not in report:
        found = report["bundle"]["network"]
        return str(network(found) if isinstance(found, Mapping) else found)
    return network(report["models"][role]) if role in report["models"] else role


def params_of(report: Report, role: str) -> int | None:
    """Parameters of the network that plays a role, as deployed."""
    cost = report.get("complexity", {}).get(role)
    return cost["params"] if cost else None


def frontier(found: Sequence[Point]) -> list[Point]:
    """Points of one machine that no other beats in both latency and mIoU, fastest first."""
    kept: list[Point] = []
    for point in sorted(found, key=lambda point: (point.p50_ms, -point.miou)):
        if not kept or point.miou > kept[-1].miou:
            kept.append(point)
    return kept


def by_machine(found: Sequence[Point]) -> dict[str, list[Point]]:
    """Points of each machine: latencies of two machines have no common axis of merit."""
    return {
        name: [point for point in found if point.machine == name] for name in dict.fromkeys(p.machine for p in found)
    }


def dots(report: Report) -> list[Dot]:
    """A dot for each trained network that was scored on the report's quoted split."""
    return [dot for one in with_added(report) if "models" in one for dot in dots_of(one)]


def dots_of(report: Report) -> Iterator[Dot]:
    """Dots of one report; the baseline has the student's parameters."""
    split = report["data"]["split"]
    for role in ROLES:
        score = report["accuracy"].get(role, {}).get(split)
        cost = report["complexity"].get("student" if role == "baseline" else role)
        if score and cost and role in report["models"]:
            yield Dot(ROLES[role], network(report["models"][role]), role, cost["params_with_aux"], score["miou"])
