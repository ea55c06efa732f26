"""SIGTERM ends a command as Ctrl-C does: what is being made is left so that the same command goes on."""

import os
import signal
from types import FrameType


class Terminated(KeyboardInterrupt):
    """The process was asked to end."""


def stop_on_sigterm() -> None:
    """Raise Terminated in this process on SIGTERM; processes that it forks end at once, as without this."""
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise Terminated

    signal.signal(signal.SIGTERM, stop)
