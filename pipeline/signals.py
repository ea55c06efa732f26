"""SIGTERM ends a command as Ctrl-C does: what is being made is left so that the same command goes on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

GRACE_S = 30
"""What a helping process gets to live after a SIGTERM; torchrun and schedulers wait as long before they kill."""
INTERRUPTED = 130
TERMINATED = 143
"""Exit codes: 128 and the number of the signal, as shells count."""


class Terminated(KeyboardInterrupt):
    """The process was asked to end."""


def stop_on_sigterm() -> None:
    """Raise Terminated in this process on SIGTERM; processes that it forks end at once, as without this."""
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            as_without_handler(number)
        raise Terminated

    signal.signal(signal.SIGTERM, stop)


def as_without_handler(number: int) -> None:
    """What a signal does to a process that says nothing about it."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


class HeldBack:
    """Within the block the first SIGTERM or Ctrl-C is only noted, in `asked`, for a step to be ended; the next raises.

    Whoever opens the block raises `asked` where it is safe. Only Python's main thread hears signals: in another one
    nothing is held back. A signal that was ignored stays ignored.
    """

    def __init__(self) -> None:
        self.asked: KeyboardInterrupt | None = None
        self.owner = os.getpid()
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self.before[number] = signal.signal(number, self.note)
        return self

    def __exit__(self, *error: object) -> None:
        while self.before:
            signal.signal(*self.before.popitem())

    def note(self, number: int, frame: FrameType | None) -> None:
        """The handler of both signals."""
        if os.getpid() != self.owner:
            # A terminal sends Ctrl-C to the forked processes as well: their work ends with that of their parent.
            if number != signal.SIGINT:
                as_without_handler(number)
            return
        if self.asked is not None:
            raise self.asked
        self.asked = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """A part of the block in which signals raise as they do outside."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()


def outlast_a_stop(worker: int) -> None:
    """Have a loader's process live on for a while after a SIGTERM, which schedulers send to all processes of a job.

    The process that it loads for ends its step meanwhile and then ends the loader. `worker` is the process's number.
    """

    def later(number: int, frame: FrameType | None) -> None:
        signal.alarm(GRACE_S)

    signal.signal(signal.SIGTERM, later)


def exit_code(error: BaseException) -> int:
    """The exit code of a process that a signal ended."""
    return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
