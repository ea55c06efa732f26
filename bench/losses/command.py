"""Time and peak memory of every loss term, forward and backward, beside the step in which it stands.

Why: distillation is only worth its name if its terms cost next to nothing beside the networks. The floor of a step is
the teacher's forward pass and the student's forward and backward pass; each term is given as a share of it. All
candidates take turns in one process, in the precision of a training (bf16 where the machine computes it natively).
Weights and maps are random: time does not depend on them.

    python -m bench.losses --json
    python -m bench.losses --size quickstart --size paper --floor-batch 2

With `--json` the last line of stdout is one JSON document.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click
import torch
from torch.profiler import ProfilerActivity, profile

from bench.losses.steps import COMPOSED, DENSE, FLOOR, SIZES, TOKENS, Size, Steps
from bench.machine.environment import describe
from bench.program import program
from bench.turns.ratio import paired_ratio
from bench.turns.timing import Call, Candidate, Row, Schedule, measure, statistics, warnings

BYTES_PER_MIB = 2**20
SCHEDULE = Schedule(warmup_s=1.0, min_s=2.0, max_s=60.0, min_samples=9, repeats=3)
COMPARED = ((DENSE, TOKENS), (COMPOSED, "supervised"))
"""What is compared with what takes its place."""
Say = Callable[[str], None]


def measure_size(name: str, size: Size, device: str, floor_batch: int, schedule: Schedule, say: Say) -> dict[str, Any]:
    """All candidates of one size, as plain data; times in ms, of the floor for the whole batch."""
    steps = Steps(size, device, floor_batch)
    candidates = steps.candidates()
    rows = {row.name: row for row in measure(candidates, schedule, on_done=lambda step: say(f"{name}: {step}"))}
    scale = size.batch / floor_batch
    floor_ms = statistics(rows[FLOOR].samples_ms).p50_ms * scale if rows[FLOOR].status == "ok" else None
    found = [row_of(rows[c.name], scale if c.name == FLOOR else 1.0, floor_ms, peak_of(c, device)) for c in candidates]
    return {
        "size": name,
        **asdict(size),
        "floor_batch": floor_batch,
        "precision": "bf16 autocast" if steps.bf16 else "fp32",
        "maps": {
            "student": {tap: list(shape) for tap, shape in steps.student_shapes.items()},
            "teacher": {tap: list(shape) for tap, shape in steps.teacher_shapes.items()},
        },
        "rows": found,
        "ratios": [
            asdict(paired_ratio(rows[above], rows[below]))
            for above, below in COMPARED
            if rows[above].status == rows[below].status == "ok"
        ],
    }


def row_of(row: Row, scale: float, floor_ms: float | None, peak_mib: float | None) -> dict[str, Any]:
    """One candidate: median and what is needed to judge it."""
    if row.status != "ok":
        return {"name": row.name, "status": row.status, "why": row.why}
    figures = statistics(row.samples_ms)
    return {
        "name": row.name,
        "status": "ok",
        "p50_ms": figures.p50_ms * scale,
        "min_ms": figures.min_ms * scale,
        "sd_ms": figures.sd_ms * scale,
        "n": figures.n,
        "share_of_floor": figures.p50_ms * scale / floor_ms if floor_ms else None,
        "peak_mib": peak_mib,
        "warnings": warnings(figures, row.warmup_settled),
    }


def peak_of(candidate: Candidate, device: str) -> float | None:
    """MiB that one call of the candidate holds at most beyond what it found; None where it cannot run."""
    try:
        call = candidate.load()
        call()
        return (cuda_peak(call) if device == "cuda" else cpu_peak(call)) / BYTES_PER_MIB
    except RuntimeError:
        return None


def cuda_peak(call: Call) -> int:
    """Bytes that torch's allocator handed out at most during the call, beyond those before it."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return torch.cuda.max_memory_allocated() - before


def cpu_peak(call: Call) -> int:
    """The same on a CPU, from the profiler's record of every allocation; scratch space of oneDNN is not in it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        call()
    assert profiled.profiler is not None
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def table(sizes: Sequence[Mapping[str, Any]], environment: Mapping[str, Any]) -> str:
    """The measurements as text."""
    cpu = environment["cpu"]
    gpus = ", ".join(gpu["name"] for gpu in environment["gpus"]) or "no GPU"
    lines = [f"{cpu['model']}, {cpu['threads']} threads; {gpus}"]
    for size in sizes:
        crop = "x".join(map(str, size["crop_px"]))
        lines += [
            "",
            f"{size['size']}: {size['teacher']['name']} -> {size['student']['name']}, batch {size['batch']}, "
            f"crop {crop}, {size['classes']} classes, {size['precision']}; floor at batch {size['floor_batch']}",
            f"{'':<44} {'median ms':>10} {'n':>5} {'of floor':>9} {'peak MiB':>9}",
        ]
        for row in size["rows"]:
            if row["status"] != "ok":
                lines.append(f"{row['name']:<44} {row['status']}: {row['why']}")
                continue
            peak = "-" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}"
            share = f"{row['share_of_floor']:.2%}" if row["share_of_floor"] else "-"
            lines.append(f"{row['name']:<44} {row['p50_ms']:>10.2f} {row['n']:>5} {share:>9} {peak:>9}")
        for ratio in size["ratios"]:
            lines.append(
                f"{ratio['numerator']} takes {ratio['ratio']:.1f} times as long as {ratio['denominator']} "
                f"({ratio['confidence']:.0%} interval {ratio['low']:.1f} to {ratio['high']:.1f})"
            )
    return "\n".join(lines)


@click.command()
@click.option("--size", "names", type=click.Choice(tuple(SIZES)), multiple=True, default=("paper",), show_default=True)
@click.option("--floor-batch", type=click.IntRange(2), help="Images on which the floor is measured; scaled up.")
@click.option("--device", type=click.Choice(("cpu", "cuda")), default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(1), help="CPU threads; torch's own choice otherwise.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(names: tuple[str, ...], floor_batch: int | None, device: str, threads: int | None, as_json: bool) -> None:
    """Measure every loss term beside the floor of a training step."""
    if device == "cuda" and not torch.cuda.is_available():
        raise click.UsageError("torch sees no GPU: leave --device out, or mend CUDA")
    if threads is not None:
        torch.set_num_threads(threads)
    environment = describe(torch.get_num_threads())

    def say(step: str) -> None:
        click.echo(step, err=True)

    sizes = [measure_size(name, SIZES[name], device, floor_batch or SIZES[name].batch, SCHEDULE, say) for name in names]
    document = {"environment": environment, "schedule": asdict(SCHEDULE), "sizes": sizes}
    click.echo(json.dumps(document) if as_json else table(sizes, environment))


main = program(command)
