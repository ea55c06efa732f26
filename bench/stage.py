"""Stage `bench`: size, cost, accuracy and speed of teacher and student in one report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.stage import AbsentAt, Context, Outputs, StageConfig

VERSION = 3
ENVIRONMENT = (
    *("gpu", "gpu_name", "cpu", "cores", "device", "driver", "power_mode"),
    *("torch", "onnxruntime", "openvino", "tensorrt"),
)
"""Facts of the machine to which a measurement belongs."""


class Config(StageConfig):
    """Part `[bench]` of a recipe."""

    baseline: bool = False
    """Train the student without distillation too and report its accuracy."""
    pictures: bool = False
    """Show the worst and best pictures of the evaluation split in the report even where they are not synthetic."""
    runtimes: tuple[Literal["torch", "onnxruntime", "openvino"], ...] = ("torch", "onnxruntime")
    """Where to measure teacher and student; onnxruntime and OpenVINO have every exported file of the student. Engines
    of export.tensorrt are measured wherever there are any."""
    compiled: Annotated[bool, AbsentAt(False)] = False
    """Measure torch's networks compiled too: a minute or more each, which is their load time."""
    threads: int | None = Field(None, ge=1)
    """CPU threads within an operator, for all runtimes alike; absent for torch's own choice."""
    batch: int = Field(1, ge=1)
    """Images an inference."""
    batches: Annotated[tuple[Annotated[int, Field(ge=1)], ...], AbsentAt(())] = ()
    """Batches of further tables of latency, with every one of `sizes`; a file of another fixed batch is skipped."""
    sizes: Annotated[tuple[tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]], ...], AbsentAt(())] = ()
    """Heights and widths of further tables, in pixels; a file of another fixed size is skipped."""
    warmup_s: float = Field(3.0, ge=0)
    """Longest warm-up of a candidate; it ends sooner when the spread settles."""
    min_s: float = Field(3.0, gt=0)
    """Shortest measurement of a candidate, over all repeats together."""
    max_s: float = Field(60.0, gt=0)
    """Longest measurement of a candidate, even where 100 samples were not reached."""
    repeats: int = Field(20, ge=3)
    """Rounds in which the candidates take turns; with fewer than 6 no interval has a confidence of 95 %."""
    roofline: Annotated[bool, AbsentAt(True)] = True
    """Measure this machine's peaks, five seconds in all, and tell each row's share of what is attainable."""
    peak_memory: Annotated[bool, AbsentAt(True)] = True
    """Measure each row's peak memory in a process of its own, which takes seconds and two inferences for each."""


def needs(config: Config) -> tuple[str, ...]:
    """Everything that is compared, and the data for a real image."""
    baseline = ("baseline",) if config.baseline else ()
    return ("data", "teacher", "distill", *baseline, "export.onnx", "export.tensorrt")


def code(config: Config) -> tuple[str, ...]:
    """Nothing that the config chooses."""
    return ()


def figures(folder: Path) -> dict[str, dict[str, float]]:
    """Latency, size and cost out of an artifact's report.json, by candidate or role."""
    import json

    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    measured = [row for row in report["latency"]["rows"] if row["statistics"]]
    return {
        "latency, ms at the median": {row["name"]: row["statistics"]["p50_ms"] for row in measured},
        "parameters": {role: cost["params"] for role, cost in report["complexity"].items()},
        "Conv2d MACs": {role: cost["macs"] for role, cost in report["complexity"].items()},
        "mIoU": {
            f"{role} {split}": scores["miou"]
            for role, splits in report["accuracy"].items()
            for split, scores in splits.items()
        },
    }


def run(ctx: Context, inputs: Mapping[str, Path], config: Config) -> Outputs:
    """Publish complexity.json and report.json, .md, .html; a repeated benchmark is another digest, none overwritten."""
    import json

    from bench.collect import count_costs, measure_latency, measure_roofline, report_data
    from bench.report.overlays import overlays
    from bench.report.publish import write_report
    from bench.report.summary import summary

    costs = count_costs(inputs)
    environment, latency = measure_latency(ctx, inputs, config)
    report = report_data(inputs, costs, environment, latency)
    report["roofline"] = measure_roofline(ctx, costs, latency, environment) if config.roofline else None
    report["pictures"] = overlays(ctx, inputs, report["data"]["split"], config.pictures)
    (ctx.work / "complexity.json").write_text(json.dumps(costs, indent=1) + "\n", encoding="utf-8")
    write_report(report, ctx.work)
    ctx.log(summary(report))
    return Outputs(summary={"student": summary(report)})
