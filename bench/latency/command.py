"""Latency of any model in any runtime that this machine has.

Why: a number is believed where the reader can take it again. Everything that is compared takes turns in one process,
in an order that chance draws anew for each round, so that a ratio and its interval hold on a machine that drifts.

    python -m bench.latency student.onnx
    python -m bench.latency teacher distill export.onnx --recipe camvid-cpu --threads 2 --end-to-end
    python -m bench.latency foreign.onnx --batch 1 --batch 8 --size 512x1024 --runtime onnxruntime --runtime openvino
    python -m bench.latency out/board --runtime tensorrt --out latency.json
    python -m bench.latency --self-check

The last line of stdout is one JSON document, also after Ctrl-C, with what was finished until then. Exit code 1 where a
row failed or a MODEL has no figures, 2 for a mistake in the command line, 130 after Ctrl-C.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from bench.latency.jobs import Wanted, free_axes
from bench.latency.measure import measure_all
from bench.latency.models import Model, models_of, named_apart
from bench.latency.picture import picture_for
from bench.latency.runtimes import RUNTIMES, Setting
from bench.latency.shapes import Ask
from bench.latency.table import text_of
from bench.machine.environment import describe
from bench.machine.watch import Watch
from bench.program import parse_size, program
from bench.turns.timing import Schedule, failed, reason
from pipeline import recipe as recipes
from pipeline.errors import NetworkError, PipelineError
from pipeline.facts import facts, usable_cores
from pipeline.nearest import nearest
from pipeline.signals import INTERRUPTED
from pipeline.verbs.options import home_option, json_option, planner_of, recipe_option, say, set_option

SCHEMA_VERSION = 1
SAY_EVERY_S = 5.0


@click.command(name="latency")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--runtime", "runtimes", type=click.Choice(tuple(RUNTIMES)), multiple=True, help="All that can, if absent."
)
@click.option("--batch", "batches", type=click.IntRange(1), multiple=True, help="Images an inference; repeatable.")
@click.option("--size", "sizes", multiple=True, metavar="HEIGHTxWIDTH", help="In pixels; repeatable.")
@click.option("--dim", "axes", multiple=True, metavar="NAME=SIZE", help="Any other free axis of an ONNX file.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads within an operator; absent for one on each core.")
@click.option(
    "--device", type=click.Choice(("auto", "cpu", "cuda")), default="auto", show_default=True, help="Torch's."
)
@click.option("--warmup-s", type=click.FloatRange(0), default=3.0, show_default=True, help="Longest warm-up of a row.")
@click.option(
    "--min-s", type=click.FloatRange(0), default=3.0, show_default=True, help="Shortest measurement of a row."
)
@click.option("--max-s", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True, help="Longest one.")
@click.option("--min-samples", type=click.IntRange(1), default=100, show_default=True, help="Of a row, within --max-s.")
@click.option("--repeats", type=click.IntRange(3), default=20, show_default=True, help="Rounds of turns.")
@click.option("--end-to-end", is_flag=True, help="Also from a picture's file to labels of its size.")
@click.option("--picture", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="For --end-to-end.")
@click.option("--no-memory", is_flag=True, help="Leave the peak memory out, which takes a process for each inference.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the JSON document there too.")
@click.option("--self-check", is_flag=True, help="Measure how exact this program is on this machine; no MODEL.")
@recipe_option
@set_option
@home_option
@json_option
def command(
    models: tuple[str, ...],
    runtimes: tuple[str, ...],
    batches: tuple[int, ...],
    sizes: tuple[str, ...],
    axes: tuple[str, ...],
    threads: int | None,
    device: str,
    end_to_end: bool,
    picture: Path | None,
    no_memory: bool,
    out: Path | None,
    self_check: bool,
    recipe: str,
    settings: tuple[str, ...],
    home: Path,
    as_json: bool,
    **schedule: Any,
) -> int:
    """Measure each MODEL: an ONNX file, an engine, a bundle, an artifact's folder or reference, e.g. distill."""
    if bool(models) == self_check:
        raise click.UsageError("give a MODEL or more, or --self-check alone")
    if out is not None and not out.resolve().parent.is_dir():
        raise click.UsageError(f"no folder {out.resolve().parent} for --out")
    if schedule["max_s"] < schedule["min_s"]:
        raise click.UsageError(f"--max-s {schedule['max_s']:g} is below --min-s {schedule['min_s']:g}")
    if self_check:
        from bench.latency.precision import check, check_text

        checked = check(threads or 1, Schedule(**schedule), say)
        return answer(checked, "" if as_json else check_text(checked), out, int(not checked["passed"]))
    parsed = dict(map(parse_axis, axes))
    sizes_px = [parse_size(text) for text in sizes]
    asks = [Ask(batch, size_px, parsed) for batch, size_px in product(batches or (None,), sizes_px or (None,))]
    recipes.load(recipe, settings)
    known = facts(device)
    setting = Setting(known["device"], threads or usable_cores())
    with ExitStack() as stack:
        found, missing = located(models, lambda reference: folder_of(reference, recipe, settings, home), stack)
        refuse_unknown(parsed, found)
        seen = picture_for(found, picture, stack) if end_to_end or picture else None
        wanted = Wanted(runtimes, setting, seen, memory=not no_memory)
        document = report(found, missing, asks, wanted, Schedule(**schedule), known)
    return answer(document, "" if as_json else text_of(document), out, code_of(document, models))


def folder_of(reference: str, recipe: str, settings: tuple[str, ...], home: Path) -> Path:
    """Folder of an artifact by its reference."""
    from pipeline.references import resolve

    return resolve(reference, planner_of(recipe, settings, home)).folder


def located(
    asked: Sequence[str], resolve: Callable[[str], Path], stack: ExitStack
) -> tuple[list[Model], list[dict[str, Any]]]:
    """The models, and a failed row for each MODEL that is none."""
    found: list[Model] = []
    missing = []
    for name in dict.fromkeys(asked):
        try:
            found += models_of(name, resolve, Path(stack.enter_context(TemporaryDirectory())))
        except (PipelineError, OSError, ValueError) as error:
            row = failed(name, reason(error)).to_json()
            missing.append({**row, "model": name, "asked": name, "runtime": None, "quantity": "inference"})
    return named_apart(found), missing


def report(
    models: Sequence[Model],
    missing: list[dict[str, Any]],
    asks: Sequence[Ask],
    wanted: Wanted,
    schedule: Schedule,
    known: dict[str, Any],
) -> dict[str, Any]:
    """The JSON document."""
    environment = describe(wanted.setting.threads)
    watch = Watch(wanted.setting.device, schedule)
    found = measure_all(models, asks, wanted, schedule, known, now_and_then(), watch)
    if found.interrupted:
        say("interrupted: what was measured until now follows; Ctrl-C again ends at once")
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "latency",
        "interrupted": found.interrupted,
        "environment": environment | watch.to_json(),
        "latency": {
            "settings": {
                **asdict(schedule),
                **asdict(wanted.setting),
                "picture": str(wanted.picture) if wanted.picture else None,
            },
            "rows": missing + found.rows,
            "ratios": found.ratios,
        },
    }


def now_and_then() -> Callable[[str], None]:
    """Says a step where the last said is some seconds old: no thread that would take time from what is measured."""
    said_s = time.monotonic()

    def tell(step: str) -> None:
        nonlocal said_s
        if time.monotonic() - said_s >= SAY_EVERY_S:
            said_s = time.monotonic()
            say(step)

    return tell


def code_of(document: dict[str, Any], asked: Sequence[str]) -> int:
    """1 where a row failed or something that was named has no figures at all; after Ctrl-C its own."""
    if document["interrupted"]:
        return INTERRUPTED
    rows = document["latency"]["rows"]
    measured = {row["asked"] for row in rows if row["status"] == "ok"}
    return int(any(row["status"] == "failed" for row in rows) or not set(asked) <= measured)


def answer(document: dict[str, Any], text: str, out: Path | None, code: int) -> int:
    """Print the text, where there is any, and the document, then write it where asked; returns the exit code.

    Minutes of measurement are on the screen before a full disk can lose them.
    """
    if text:
        click.echo(text)
    click.echo(json.dumps(document))
    if out is not None:
        out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return code


def parse_axis(text: str) -> tuple[str, int]:
    """`sequence=128`; NetworkError for anything else."""
    name, _, size = text.partition("=")
    if not name or not size.isdecimal() or int(size) < 1:
        raise NetworkError(f"--dim {text}: write it as NAME=SIZE, e.g. sequence=128")
    return name, int(size)


def refuse_unknown(axes: Mapping[str, int], models: Sequence[Model]) -> None:
    """NetworkError for a --dim that is an axis of none of the models."""
    known = {name for model in models for name in free_axes(model)}
    for name in axes:
        if models and name not in known:
            told = nearest(name, sorted(known)) if known else "they have no free axis"
            raise NetworkError(f"--dim {name}: no MODEL has a free axis of that name; {told}")


main = program(command)
