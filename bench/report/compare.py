"""Two reports beside each other: first what differs in where and how they were measured, then every figure."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bench.report.points import Report, network_of
from bench.report.reading import identity, machine
from bench.report.slowdown import slowdowns
from bench.report.words import ROLES, grid, number, percent, size

NOISE = ("load_average", "clock_mhz", "memory_clock_mhz", "now_mhz", "temperature_c", "idle_w", "heat")
"""Facts that differ between any two moments: no difference of the environment."""
COSTS = {
    "params": "params",
    "macs": "Conv2d MACs",
    "params_with_aux": "params, paper",
    "macs_with_aux": "Conv2d MACs, paper",
}


def compare(then: Report, now: Report) -> dict[str, Any]:
    """What changed from one report to the other, as plain data.

    machines            the two by name, and `same`
    environment, setup  [{name, then, now}] of what differs
    figures             [{name, then, now}] of accuracy (percent) and cost, equal ones left out
    latency             bench.report.slowdown.Slowdown of each row that both measured alike
    apart               why other rows have no ratio
    """
    same = identity(then) == identity(now)
    ratios, apart = slowdowns(now, then)
    return {
        "machines": {"then": machine(then), "now": machine(now), "same": same},
        "environment": changes(dict(flat(then["environment"])), dict(flat(now["environment"]))),
        "setup": changes(setup(then), setup(now)),
        "figures": changes(figures(then), figures(now)),
        "latency": [asdict(ratio) for ratio in ratios],
        "apart": apart,
    }


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Entries that differ; None where a side has none."""
    names = dict.fromkeys([*then, *now])
    return [
        {"name": name, "then": then.get(name), "now": now.get(name)}
        for name in names
        if then.get(name) != now.get(name)
    ]


def flat(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested mappings and lists by dotted name, without `NOISE`."""
    if isinstance(values, (Mapping, list)) and values:
        items = values.items() if isinstance(values, Mapping) else enumerate(values)
        for name, value in items:
            if name not in NOISE:
                yield from flat(value, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, values


def setup(report: Report) -> dict[str, Any]:
    """How a report was measured, and of what."""
    settings = {f"latency.{name}": value for name, value in report["latency"]["settings"].items()}
    networks = {role: network_of(report, role) for role in ("teacher", "student") if role in report.get("models", ())}
    if "data" not in report:
        return {**settings, "student": network_of(report, "student")}
    data = report["data"]
    return {"data": data["name"], "split": data["split"], "size": size(report), **networks, **settings}


def figures(report: Report) -> dict[str, str]:
    """Accuracy and cost by name, as people read them."""
    found = {}
    for role, splits in report.get("accuracy", {}).items():
        for split, scores in splits.items():
            found[f"mIoU, {ROLES.get(role, role)}, {split}"] = percent(scores["miou"])
    for role, cost in report.get("complexity", {}).items():
        found |= {f"{words}, {role}": f"{cost[name]:,}" for name, words in COSTS.items()}
    for file in report.get("parity", {}).get("files", []):
        found[f"mIoU, {file['file']}"] = percent(file["miou_exported"], 3)
    return found


def compare_text(found: Mapping[str, Any], names: tuple[str, str]) -> str:
    """The comparison as Markdown; `names` are those of the earlier and the later report."""
    machines = found["machines"]
    lines = [f"# {names[1]} against {names[0]}", ""]
    if machines["same"]:
        lines += [f"Both on {machines['now']}."]
    else:
        lines += [
            f"WARNING: measured on two machines, {machines['then']} and {machines['now']}: "
            "the latency ratios below tell of the machines as much as of the models."
        ]
    for title, part in (("Environment", "environment"), ("Setup", "setup"), ("Accuracy and cost", "figures")):
        rows = [[str(one["name"]), shown(one["then"]), shown(one["now"])] for one in found[part]]
        lines += ["", f"## {title}", "", *(grid(["", "then", "now"], rows) if rows else ["No difference."])]
    rows = [
        [one["name"], number(one["then_ms"]), number(one["now_ms"]), f"{one['ratio']:.3f}", interval(one), verdict(one)]
        for one in found["latency"]
    ]
    header = ["median, ms", "then", "now", "ratio", "95 % interval", ""]
    lines += ["", "## Latency", "", *(grid(header, rows) if rows else ["No row was measured alike in both."])]
    lines += [f"- {why}" for why in found["apart"]]
    return "\n".join(lines)


def interval(one: Mapping[str, Any]) -> str:
    """`1.02 to 1.07`."""
    return f"{one['low']:.3f} to {one['high']:.3f}"


def verdict(one: Mapping[str, Any]) -> str:
    """What the interval allows to say."""
    if one["low"] > 1:
        return "slower"
    return "faster" if one["high"] < 1 else "no difference shown"


def shown(value: Any) -> str:
    """A value as a table's cell."""
    return "-" if value is None or value == "" else str(value)
