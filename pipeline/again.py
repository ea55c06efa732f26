"""The command line that goes on from where this process stops."""

import os
import shlex
import sys
from pathlib import Path

from pipeline.group.ranks import STARTED, started

MODULE = ("-m", "pipeline")


def command_again(*more: str) -> str:
    """The command line that started this process, torchrun's part included, with further words at its end."""
    return shlex.join([*launcher(), *MODULE, *sys.argv[1:], *more])


def launcher() -> list[str]:
    """The words before `-m pipeline`."""
    if STARTED not in os.environ:
        return ["python"]
    try:
        words = Path(f"/proc/{os.getppid()}/cmdline").read_text(encoding="utf-8").rstrip("\0").split("\0")
    except OSError:
        words = []
    return of_torchrun(words) or spelt_anew()


def of_torchrun(words: list[str]) -> list[str] | None:
    """torchrun's words before `-m pipeline`, as they are typed; None where a command line is not torchrun's."""
    ends = [n for n in range(1, len(words)) if tuple(words[n : n + 2]) == MODULE]
    if not ends:
        return None
    interpreter, first, *rest = words[: ends[0]]
    return [Path(interpreter).name, first, *rest] if first.startswith("-") else [Path(first).name, *rest]


def spelt_anew() -> list[str]:
    """torchrun's words from what it told its processes, where its command line cannot be read."""
    group = started()
    nodes = ["--nnodes", str(group.nodes)] if group.nodes > 1 else []
    return ["torchrun", *nodes, "--nproc-per-node", str(group.local_world)]
