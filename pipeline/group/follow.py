"""What every process of a torchrun does but rank 0: it waits for orders and obeys them, without a word."""

import json
import platform
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from pipeline.again import command_again
from pipeline.errors import USER_ERROR, PipelineError
from pipeline.graph import BY_NAME
from pipeline.group.channel import (
    FAILED,
    LOOK_EVERY_S,
    Channel,
    Order,
    answer_name,
    as_paths,
    connect,
    ignore_sigterm,
    in_group,
    order_name,
    tells_of_lost_peer,
    wait_for,
)
from pipeline.group.ranks import Group
from pipeline.signals import exit_code
from pipeline.stage import Context

SEEN_WITHIN_S = 10.0
"""How long a file that one machine wrote may stay out of another's sight."""
FIRST_WORD_S = 2.0
"""How long rank 0 may take to tell of a failure that both have."""
ENDED_WITHIN_S = 10.0
"""How long torchrun may take to end the processes that outlive one that failed."""


def follow(group: Group) -> int:
    """Obey rank 0 until it says that all is done; returns the exit code."""
    # Rank 0 warns of the same.
    warnings.simplefilter("ignore")
    try:
        channel = connect()
        try:
            for number in count(1):
                order = json.loads(wait_for(channel, order_name(number)))
                if "end" in order:
                    break
                if "look" in order:
                    channel.write(answer_name(number, group.rank), unseen(group, **order["look"]))
                else:
                    obey(Order(**order["stage"]), group)
        except Exception as error:
            if not told(channel, group, error):
                # Whoever failed first is what torchrun should name: it ends this process then.
                time.sleep(ENDED_WITHIN_S)
            return USER_ERROR
    except KeyboardInterrupt as error:
        return exit_code(error)
    return 0


def unseen(group: Group, token: str, home: str, folders: Mapping[str, str | None]) -> str:
    """What this process does not see of the shared folders; empty where it sees all."""
    where = f"rank {group.rank} on {platform.node()} does not see"
    until = time.monotonic() + SEEN_WITHIN_S
    while not Path(token).exists():
        if time.monotonic() > until:
            return f"{where} the home {home}"
        time.sleep(LOOK_EVERY_S)
    for name, folder in as_paths(folders).items():
        if folder and not folder.exists():
            return f"{where} {name} = {folder}"
    return ""


def obey(order: Order, group: Group) -> None:
    """Run a stage; what it writes anywhere but in the shared scratch is thrown away."""
    module = BY_NAME[order.stage].load()
    config = module.Config.model_validate(order.config)
    inputs = {name: Path(folder) for name, folder in order.inputs.items()}
    settings, cache = as_paths(order.settings), Path(order.cache) if order.cache else None
    with tempfile.TemporaryDirectory(prefix="pipeline-") as work, in_group():
        ctx = Context(
            Path(work), Path(order.scratch), order.device, settings, unheard, no_progress, cache=cache, group=group
        )
        module.run(ctx, inputs, config)


def unheard(line: str) -> None:
    """The log of a process that says nothing."""


class NoBar:
    """The progress bar of such a process."""

    def step(self, images: int, terms: Mapping[str, float]) -> None:
        """Shows nothing."""


@contextmanager
def no_progress(title: str, total: int, done: int) -> Iterator[NoBar]:
    """A bar that nobody sees."""
    yield NoBar()


def told(channel: Channel, group: Group, error: Exception) -> bool:
    """Say why this process failed, unless another has said so, or it only noticed that another had gone."""
    if tells_of_lost_peer(error):
        return False
    until = time.monotonic() + FIRST_WORD_S
    while channel.read(FAILED) is None and time.monotonic() < until:
        time.sleep(LOOK_EVERY_S)
    text = f"rank {group.rank} on {platform.node()}: {str(error) or type(error).__name__}"
    if not channel.write(FAILED, text):
        return False
    ignore_sigterm()
    if not isinstance(error, PipelineError):
        traceback.print_exception(error)
    print(f"error: {text}\nnext: {command_again()}", file=sys.stderr, flush=True)
    return True
