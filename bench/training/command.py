"""Images a second of training, beside what the hardware leaves no choice about and beside the loop that is replaced.

Why: distillation is the expensive stage; what a loop adds to the networks' own time is paid for in every step. For the
training of the teacher and for distillation, four candidates take turns in one process:

- `ours`: `train_net` as the stages call it, with its loader, loss terms, optimiser, progress and history.
- `floor`: the bare networks in the same precision and memory format: the teacher's forward pass, the trained network's
  forward and backward pass from the mean of its logits. No losses, no loader, no optimiser, no logging.
- `floor and optimiser step`: the same with SGD's step, which no training can spare; it tells how much of the distance
  is the optimiser's.
- `plain`: the loop of the public repositories (bench/training/plain.py) under the same loss terms.

A step is timed from the request for a batch until the device has finished. What happens every hundred steps or so, a
checkpoint or a measurement of gradients, is left out by taking medians. Peak memory is that of a process of its own;
the loader's processes are not in it (bench.data has theirs).

    python -m bench.training --json
    python -m bench.training --size camvid-cpu --data CAMVID
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import torch

from bench.data import Pictured, camvid, synthetic
from bench.machine.environment import describe
from bench.program import program
from bench.training.candidates import (
    FLOOR,
    FLOOR_TARGET,
    GPU_TARGET,
    OURS,
    PLAIN,
    SIZES,
    TASKS,
    Size,
    Task,
    Training,
)
from bench.training.peak_memory import peak_of
from bench.turns.ratio import paired_ratio
from bench.turns.timing import Call, Row, Schedule, measure
from pipeline.errors import PipelineError
from stages.losses.methods import METHODS
from stages.training.device import has_native_bf16, resolve_precision

SCHEMA_VERSION = 1
NAMES = tuple(SIZES)
IMAGES = 48
IMAGE_PX = (360, 480)
QUICK = Schedule(warmup_s=0.0, min_s=0.0, max_s=3.0, min_samples=3, repeats=3)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Setting:
    """What all candidates of a program's run share."""

    method: str
    files: Pictured
    device: str
    threads: int


@dataclass(frozen=True)
class Alone:
    """One candidate to be loaded in another process: everything in it can be pickled."""

    size: Size
    task: Task
    setting: Setting
    name: str

    def __call__(self) -> Call:
        """Its step; what it opened stays open until the process ends."""
        torch.set_num_threads(self.setting.threads)
        folder = TemporaryDirectory()
        closing = ExitStack()
        training = Training(
            self.size,
            self.task,
            self.setting.method,
            self.setting.files,
            self.setting.device,
            Path(folder.name),
            closing,
        )
        call = training.loads()[self.name]()
        closing.push(folder)

        def kept_open() -> object:
            assert closing, "what the step needs lives as long as the step"
            return call()

        return kept_open


def measure_task(size: Size, task: Task, setting: Setting, schedule: Schedule, say: Say) -> dict[str, Any]:
    """All candidates of one task, as plain data."""
    with TemporaryDirectory() as folder, ExitStack() as closing:
        training = Training(size, task, setting.method, setting.files, setting.device, Path(folder), closing)
        rows = {row.name: row for row in measure(training.candidates(), schedule, on_done=say)}
    failed = [row for row in rows.values() if row.status != "ok"]
    if failed:
        raise PipelineError(f"{task}, {failed[0].name}: {failed[0].why}")
    peaks = {}
    for name in (OURS, PLAIN):
        peaks[name] = peak_of(Alone(size, task, setting, name), setting.device)
        say(f"{name}: memory measured")
    return {
        "task": task,
        "terms": {name: term.weight for name, term in sorted(training.terms.items())},
        "batch": training.config.batch,
        "crop_px": list(training.config.crop_px),
        "workers": training.config.workers,
        "precision": resolve_precision(training.config.precision, setting.device),
        "rows": [row_of(row, training.config.batch) for row in rows.values()],
        "ratios": ratios(rows, target_of(size, setting.device)),
        "memory": memory(peaks),
    }


def row_of(row: Row, batch: int) -> dict[str, Any]:
    """One candidate; `images_per_s` from the median step."""
    measured = row.to_json(batch)
    figures = measured["statistics"]
    names = ("name", "first_ms", "warnings", "rounds_ms")
    return {name: measured[name] for name in names} | {
        "images_per_s": 1000 * batch / figures["p50_ms"],
        "step_ms": figures,
    }


def target_of(size: Size, device: str) -> float | None:
    """How many times the plain loop's images a second are wanted on this machine; None where nothing was promised."""
    if device == "cuda":
        return GPU_TARGET
    return size.bf16_cpu_target if has_native_bf16(device) else None


def ratios(rows: Mapping[str, Row], plain_target: float | None) -> list[dict[str, Any]]:
    """Images a second of ours over those of the floor and of the plain loop, with the targets."""
    compared = [(name, FLOOR_TARGET if name == FLOOR else None) for name in rows if name.startswith(FLOOR)]
    found = []
    for name, target in [*compared, (PLAIN, plain_target)]:
        # Times of the other over times of ours: images a second the other way round.
        ratio = asdict(paired_ratio(rows[name], rows[OURS]))
        met = None if target is None else ratio["ratio"] >= target
        found.append({"ours_over": name, **ratio, "target": target, "met": met})
    return found


def memory(peaks: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Both peaks in MiB, and whether ours is not the higher one."""
    ratio = peaks[OURS]["peak_mib"] / peaks[PLAIN]["peak_mib"]
    return {**peaks, "ours_over_plain": ratio, "target": 1.0, "met": ratio <= 1.0}


def table(sizes: Sequence[Mapping[str, Any]], environment: Mapping[str, Any]) -> str:
    """The measurements as text."""
    cpu = environment["cpu"]
    gpus = ", ".join(gpu["name"] for gpu in environment["gpus"]) or "no GPU"
    lines = [f"{cpu['model']}, {cpu['threads']} threads, load {cpu['load_average']}; {gpus}"]
    for size in sizes:
        for task in size["tasks"]:
            crop = "x".join(map(str, task["crop_px"]))
            nets = size["teacher"] if task["task"] == "teacher" else f"{size['teacher']} -> {size['student']}"
            lines += [
                "",
                f"{size['size']}, {task['task']}: {nets}, batch {task['batch']}, crop {crop}, {task['precision']}, "
                f"{len(task['terms'])} terms, {size['files']}",
                *task_lines(task),
            ]
    return "\n".join(lines)


def task_lines(task: Mapping[str, Any]) -> list[str]:
    """The candidates of one task, and their memory."""
    over = {ratio["ours_over"]: ratio for ratio in task["ratios"]}
    rows = [line_of(row, over.get(row["name"])) for row in task["rows"]]
    return [f"{'':<26}{'images/s':>9}{'step ms':>9}{'n':>5}  ours over it", *rows, memory_line(task["memory"])]


def line_of(row: Mapping[str, Any], ratio: Mapping[str, Any] | None) -> str:
    """One candidate, and how ours compares with it."""
    line = f"{row['name']:<26}{row['images_per_s']:>9.1f}{row['step_ms']['p50_ms']:>9.1f}{row['step_ms']['n']:>5}"
    if ratio is None:
        return line
    return f"{line}  {ratio['ratio']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f}){verdict(ratio, 'at least')}"


def memory_line(found: Mapping[str, Any]) -> str:
    """Both peaks and their ratio."""
    peaks = ", ".join(f"{name} {found[name]['peak_mib']:.0f} MiB" for name in (OURS, PLAIN))
    return f"peak memory: {peaks}: {found['ours_over_plain']:.2f}{verdict(found, 'at most')}"


def verdict(found: Mapping[str, Any], bound: str) -> str:
    """`, wanted at least 0.9: met`; nothing where nothing is wanted."""
    if found["target"] is None:
        return ""
    return f", wanted {bound} {found['target']:g}: {'met' if found['met'] else 'MISSED'}"


def schedule_of(size: Size, steps: int | None, quick: bool) -> Schedule:
    """So many steps of each candidate after a warm-up, over the fewest rounds that give an interval of 95 %."""
    if quick:
        return QUICK
    return Schedule(warmup_s=10.0, min_s=0.0, max_s=1800.0, min_samples=steps or size.steps, repeats=6)


@click.command()
@click.option(
    "--size", "names", type=click.Choice(tuple(SIZES)), multiple=True, default=tuple(SIZES), show_default=True
)
@click.option("--method", type=click.Choice(tuple(METHODS)), default="idd", show_default=True, help="Of distillation.")
@click.option("--data", "root", type=click.Path(path_type=Path), help="CamVid; without it, synthetic images.")
@click.option("--steps", type=click.IntRange(6), help="Measured steps of each candidate.")
@click.option("--device", type=click.Choice(("cpu", "cuda")), default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(1), help="CPU threads; torch's own choice otherwise.")
@click.option("--quick", is_flag=True, help="Three steps without a warm-up: whether it runs, not how fast.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    names: tuple[str, ...],
    method: str,
    root: Path | None,
    steps: int | None,
    device: str,
    threads: int | None,
    quick: bool,
    as_json: bool,
) -> None:
    """Measure images a second and peak memory of training beside the bare networks and a plain loop."""
    if device == "cuda" and not torch.cuda.is_available():
        raise click.UsageError("torch sees no GPU: leave --device out, or mend CUDA")
    if threads is not None:
        torch.set_num_threads(threads)
    environment = describe(torch.get_num_threads())
    sizes = []
    with TemporaryDirectory() as folder:
        files = camvid(root, IMAGES) if root else synthetic(Path(folder), IMAGES, IMAGE_PX)
        setting = Setting(method, files, device, torch.get_num_threads())
        for name in names:
            schedule = schedule_of(SIZES[name], steps, quick)
            sizes.append(measure_size(name, SIZES[name], setting, schedule))
    document = {"schema_version": SCHEMA_VERSION, "method": method, "sizes": sizes, "environment": environment}
    click.echo(json.dumps(document) if as_json else table(sizes, environment))


def measure_size(name: str, size: Size, setting: Setting, schedule: Schedule) -> dict[str, Any]:
    """Both tasks of one size, as plain data."""

    def measured(task: Task) -> dict[str, Any]:
        def say(step: str) -> None:
            click.echo(f"{name}, {task}: {step}", err=True)

        found = measure_task(size, task, setting, schedule, say)
        # What a long run has found is there before it has ended, and where it is cut off.
        click.echo("\n".join(task_lines(found)), err=True)
        return found

    student, configs = size.configs(setting.method)
    return {
        "size": name,
        "teacher": named(configs["teacher"]),
        "student": named(student),
        "files": setting.files.name,
        "schedule": asdict(schedule),
        "tasks": [measured(task) for task in TASKS],
    }


def named(net: Any) -> str:
    """`pspnet_resnet18 width=0.25`."""
    return " ".join([net.net, *(f"{name}={value}" for name, value in net.args.items())])


main = program(command)
