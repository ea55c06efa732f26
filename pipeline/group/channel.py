"""Words between the processes of a torchrun, and the orders that they carry."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

CHANNEL = "stages.distributed.channel"
"""Module that carries them; it needs torch, and so it is looked up where there are several processes."""
LOOK_EVERY_S = 0.1
FAILED = "failed"
"""Name under which the process that fails first says so."""


class Channel(Protocol):
    """Short texts by name, seen by all processes."""

    def read(self, name: str) -> str | None:
        """The text, or None where it is not written yet."""

    def write(self, name: str, text: str) -> bool:
        """Write a text under a name once; whether it was the first."""


@dataclass(frozen=True)
class Order:
    """A stage to be run by all: what its module and its context are made from, as plain values."""

    stage: str
    inputs: Mapping[str, str]
    config: Mapping[str, Any]
    settings: Mapping[str, str | None]
    device: str
    scratch: str
    cache: str | None


def connect() -> Channel:
    """The channel of this torchrun."""
    channel: Channel = import_module(CHANNEL).connect()
    return channel


def wait_for(channel: Channel, name: str) -> str:
    """The text of a name, once it is there; signals are heard meanwhile, and nothing times out."""
    while (text := channel.read(name)) is None:
        time.sleep(LOOK_EVERY_S)
    return text


def order_name(number: int) -> str:
    """Where an order stands."""
    return f"order {number}"


def answer_name(number: int, rank: int) -> str:
    """Where a process answers an order."""
    return f"answer {number} {rank}"


def as_words(settings: Mapping[str, Any]) -> dict[str, str | None]:
    """Settings of the machine as they travel: all are paths."""
    return {name: None if value is None else str(value) for name, value in settings.items()}


def as_paths(words: Mapping[str, str | None]) -> dict[str, Path | None]:
    """Inverse of `as_words`."""
    return {name: None if text is None else Path(text) for name, text in words.items()}


@contextmanager
def in_group() -> Iterator[None]:
    """Leave the group that a stage has formed, once it has run; one that fails ends its process."""
    yield
    import_module(CHANNEL).leave_group()


def tells_of_lost_peer(error: BaseException) -> bool:
    """Whether an error says that another process has gone."""
    return bool(import_module(CHANNEL).tells_of_lost_peer(error))


def ignore_sigterm() -> None:
    """Let this process end by itself: torchrun ends all once one has failed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
