"""Rank 0 of a torchrun gives orders to the other processes.

It is the command as it runs alone: it plans, locks, prints and publishes. The others know nothing of recipe and store
and wait for the next order by looking for it now and then, so that no collective can time out while rank 0 does what
only one process can do. An order is to look at the shared folders, to run a stage, or to end.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

from pipeline.errors import RankError, StoreError, TrainingError
from pipeline.group.channel import (
    FAILED,
    Channel,
    Order,
    answer_name,
    as_words,
    connect,
    ignore_sigterm,
    in_group,
    order_name,
    tells_of_lost_peer,
    wait_for,
)
from pipeline.group.ranks import ALONE, Group, started
from pipeline.stage import Context, Outputs, StageConfig


class Crew:
    """The other processes, as rank 0 sees them."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.given = 0

    def give(self, order: Mapping[str, Any]) -> int:
        """Give the next order, `{"look": ...}`, `{"stage": ...}` or `{"end": ...}`; returns its number."""
        self.given += 1
        self.channel.write(order_name(self.given), json.dumps(order))
        return self.given


@lru_cache(maxsize=1)
def crew() -> Crew:
    """The crew of this torchrun; its orders are counted from the first on."""
    return Crew(connect())


def group_of(module: ModuleType) -> Group:
    """The processes that run a stage of this module together."""
    return started() if getattr(module, "DISTRIBUTED", False) else ALONE


def look_together(home: Path, settings: Mapping[str, Any]) -> None:
    """Before anything runs: StoreError unless every process sees this one's home and data root."""
    if started().world == 1:
        return
    token = home / "cache" / f"shared-{uuid4().hex}"
    token.parent.mkdir(parents=True, exist_ok=True)
    token.touch()
    try:
        number = crew().give({"look": {"token": str(token), "home": str(home), "folders": as_words(settings)}})
        ranks = range(1, started().world)
        answers = [wait_for(crew().channel, answer_name(number, rank)) for rank in ranks]
    finally:
        token.unlink(missing_ok=True)
    for missing in filter(None, answers):
        raise StoreError(
            f"{missing}: all processes need one home and one data root, on file systems that all machines share; give "
            "their paths with --home and --set data.root=FOLDER"
        )


def run_together(
    name: str, module: ModuleType, ctx: Context, inputs: Mapping[str, Path], config: StageConfig
) -> Outputs:
    """Call a stage's `run`: here alone, or in all processes of its context's group.

    RankError where another process failed first, TrainingError where one ended without a word.
    """
    if ctx.group.world == 1:
        outputs: Outputs = module.run(ctx, inputs, config)
        return outputs
    folders = {name: str(folder) for name, folder in inputs.items()}
    values = config.model_dump(mode="json")
    cache = str(ctx.cache) if ctx.cache else None
    order = Order(name, folders, values, as_words(ctx.settings), ctx.device, str(ctx.scratch), cache)
    crew().give({"stage": asdict(order)})
    try:
        with in_group():
            outputs = module.run(ctx, inputs, config)
    except BaseException as error:
        first = first_failure(crew().channel, error)
        if first is error:
            raise
        raise first from error
    return outputs


def first_failure(channel: Channel, error: BaseException) -> BaseException:
    """What ends rank 0: its own error, or that of the process that failed before it."""
    told = channel.read(FAILED)
    if told is not None:
        ignore_sigterm()
        return RankError(told)
    if tells_of_lost_peer(error):
        ignore_sigterm()
        return TrainingError(
            "another process of this torchrun ended without a word, perhaps killed for want of memory: its rank stands "
            "in torchrun's own report"
        )
    channel.write(FAILED, "rank 0")
    if isinstance(error, Exception):
        ignore_sigterm()
    return error


def end() -> None:
    """Let the others end, since rank 0 ends well; where it fails, torchrun ends them."""
    crew().give({"end": {}})
