"""Stage `data`: find or make the images, check every label, publish the index that all later stages read."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.stage import Context, Outputs
from stages.datasets.catalogue import choice, source_of
from stages.datasets.config import DataConfig as Config
from stages.datasets.findings import Finding, stop_at_faults

if TYPE_CHECKING:
    from stages.datasets.survey import Survey

VERSION = 2
SHEET, PLOT = "contact_sheet.png", "frequencies.png"


def needs(config: Config) -> tuple[str, ...]:
    """Nothing: the pipeline starts here."""
    return ()


def code(config: Config) -> tuple[str, ...]:
    """The chosen source's module."""
    return (source_of(config.source).module,)


def choices(config: Config) -> dict[str, Any]:
    """What the source's name stands for: its module, and the classes that its authors published."""
    return {"source": choice(config.source)}


def source_files(config: Config) -> dict[str, str]:
    """Every file below `data.root` that can count; DataError where the root is missing."""
    source = source_of(config.source)
    if not source.reads_root:
        return {}
    files: dict[str, str] = source.load().source_files(config)
    return files


def run(ctx: Context, inputs: Mapping[str, Path], config: Config) -> Outputs:
    """Publish the index, the classes, the preprocessing contract, statistics, findings, two pictures to look at.

    DataError that names the first faults; a source that makes its own images publishes them too.
    """
    from stages.datasets.contact_sheet import draw_contact_sheet
    from stages.datasets.frequency_plot import draw_frequencies
    from stages.datasets.index import images_root, write_index
    from stages.datasets.statistics import frequencies, image_sizes

    found = surveyed(ctx, config)
    stop_at_faults(found.findings, config.source, found.layout.root)
    write_index(ctx.work, found.index)
    shares = frequencies(found.checked.counts, found.index)
    write_json(ctx.work / "frequencies.json", shares)
    write_json(ctx.work / "sizes.json", image_sizes(found.checked.splits))
    write_json(ctx.work / "findings.json", [finding.to_json() for finding in found.findings])
    for line in told(found.findings):
        ctx.log(line)
    root = ctx.work if found.index.embedded else images_root(ctx.work, found.index, {"data.root": config.root})
    draw_contact_sheet(ctx.work / SHEET, found.index, root, shares)
    draw_frequencies(ctx.work / PLOT, found.index, shares)
    classes = len(found.index.classes)
    return Outputs(summary={"images": sizes(found.sizes()), "classes": classes}, volatile=(SHEET, PLOT))


def surveyed(ctx: Context, config: Config) -> "Survey":
    """`survey` under a progress bar."""
    from contextlib import ExitStack

    from stages.datasets.survey import survey

    with ExitStack() as stack:

        def bar(total: int) -> Callable[[int], None]:
            shown = stack.enter_context(ctx.progress("check images and labels", total, 0))
            return lambda count: shown.step(count, {})

        found = survey(config, ctx.work, bar)
    ctx.log(f"{found.layout.name}: {sizes(found.sizes())} images, splits by {found.layout.split_rule}")
    return found


def write_json(path: Path, document: Any) -> None:
    """One JSON document with a line end."""
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def told(findings: Sequence[Finding]) -> list[str]:
    """One line for each kind of warning: how many, and the first."""
    counts = Counter(finding.kind for finding in findings)
    first = {finding.kind: finding for finding in reversed(findings)}
    return [f"warning: {kind}, {count} in findings.json, the first: {first[kind]}" for kind, count in counts.items()]


def sizes(images: Mapping[str, int]) -> str:
    """`train 367, val 101, test 233`."""
    return ", ".join(f"{split} {count}" for split, count in images.items())
