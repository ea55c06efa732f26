"""The cost of stage `data`: a few pairs made or read, by the number of all."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.estimate import Answer, Estimate, Machine
from pipeline.stage import StageConfig
from stages.datasets.catalogue import source_of
from stages.datasets.config import DataConfig
from stages.datasets.layout import SPLITS, existing_root
from stages.estimates.outline import outline
from stages.estimates.unseen import trial

TRIED_PAIRS = 16
FEWEST_PAIRS = 2
REPEATS = 2
LARGEST_PIXELS = 512 * 1024
"""Of a scene that is tried; larger ones are scaled by their pixels."""
ROW_BYTES = 450
"""An image's part of the index."""
PICTURES_BYTES = 700_000
"""The contact sheet and the plot of frequencies."""


def estimate(config: StageConfig, configs: Mapping[str, StageConfig], machine: Machine) -> Estimate:
    """From a few of the very pairs that the stage would make or read."""
    assert isinstance(config, DataConfig)
    count = sum(outline(config, None).images.values())
    root = str(config.root) if source_of(config.source).reads_root else None
    question = {"source": config.source, "size_px": config.size_px, "root": root}
    found = machine.ask(f"images of {config.source}", question, lambda: measure(config))
    return Estimate(
        seconds=found["fixed_s"] + count * found["pair_s"],
        peak_mib=found["peak_mib"],
        bytes=int(count * (found["pair_bytes"] + ROW_BYTES)) + PICTURES_BYTES,
    )


def measure(config: DataConfig) -> Answer:
    """Seconds and bytes a pair, and the seconds of all that comes once."""
    return measure_reading(config) if source_of(config.source).reads_root else measure_making(config)


def measure_making(config: DataConfig) -> Answer:
    """A source that makes its own images: a few of them made and checked, and one run of the stage with fewer."""
    from stages.estimates.memory import watched

    tried, scale = config, 1.0
    while tried.size_px[0] * tried.size_px[1] > LARGEST_PIXELS:
        tried = tried.model_copy(update={"size_px": tuple(-(-side // 2) for side in tried.size_px)})
        scale = config.size_px[0] * config.size_px[1] / (tried.size_px[0] * tried.size_px[1])
    with watched("cpu") as held:
        # The stage's imports are part of the first run, as they will be.
        once_s = seconds_of_run(tried)
        made = [seconds_to_make(tried) for _ in range(REPEATS)]
    pair_s = min(seconds for seconds, _ in made) / TRIED_PAIRS
    return {
        "pair_s": pair_s * scale,
        "fixed_s": max(once_s - FEWEST_PAIRS * pair_s, 0.0),
        "pair_bytes": made[0][1] / TRIED_PAIRS * scale,
        "peak_mib": held.scaled(scale),
    }


def with_images(config: DataConfig, images: int) -> DataConfig:
    """The config with so many images in all."""
    return config.model_copy(update={"train_images": images, "val_images": 0, "test_images": 0})


def seconds_of_run(config: DataConfig) -> float:
    """Seconds of the stage with as few images as it goes with."""
    began = time.perf_counter()
    from stages.data import run

    with TemporaryDirectory() as folder:
        run(trial(Path(folder), "cpu"), {}, with_images(config, FEWEST_PAIRS))
        return time.perf_counter() - began


def seconds_to_make(config: DataConfig) -> tuple[float, int]:
    """Seconds to make and check a few pairs, and their bytes."""
    from stages.datasets.survey import survey

    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        survey(with_images(config, TRIED_PAIRS), Path(folder), lambda total: lambda count: None)
        seconds = time.perf_counter() - began
        return seconds, sum(file.stat().st_size for file in Path(folder).rglob("*.png"))


def measure_reading(config: DataConfig) -> Answer:
    """Some pairs of the user's, spread over the splits, read and checked as the stage does."""
    from stages.datasets.checks import check
    from stages.datasets.spread import spread
    from stages.estimates.memory import watched

    source = source_of(config.source)
    began = time.perf_counter()
    layout = source.load().collect(config, existing_root(config.root, config.source))
    fixed_s = time.perf_counter() - began
    pairs = [pair for split in SPLITS for pair in layout.splits.get(split, ())]
    few: Any = spread(pairs, TRIED_PAIRS)
    with watched("cpu") as held:
        began = time.perf_counter()
        check(replace(layout, splits={"train": tuple(few)}), source.published, lambda count: None)
        pair_s = (time.perf_counter() - began) / max(len(few), 1)
    return {"pair_s": pair_s, "fixed_s": fixed_s, "pair_bytes": 0, "peak_mib": held.peak_mib}
