"""The command line, killed without warning when it is about to do something to a file for the nth time.

    python kill_at.py EVENT PATTERN NTH VERB [ARGUMENT...]

EVENT is `write`, `rename` or `remove`; PATTERN is searched in the path, or in `old -> new` of a rename. Between two
such events nothing on the disk changes, so that they stand for every moment at which a kill can come.
"""

import os
import re
import signal
import sys
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR


def event_of(audited: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
    """Our name for what the interpreter is about to do, and the path; None for anything else."""
    if audited == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
        return "write", str(arguments[0])
    if audited == "os.rename":
        return "rename", f"{arguments[0]} -> {arguments[1]}"
    if audited in ("os.remove", "os.rmdir"):
        return "remove", str(arguments[0])
    return None


def kill_at(event: str, pattern: str, nth: int) -> None:
    """Kill this process, and none that it forks, at the nth such event."""
    process, seen = os.getpid(), 0

    def watch(audited: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        found = event_of(audited, arguments)
        if found is None or found[0] != event or os.getpid() != process or not re.search(pattern, found[1]):
            return
        seen += 1
        if seen == nth:
            os.kill(process, signal.SIGKILL)

    sys.addaudithook(watch)


if __name__ == "__main__":
    event, pattern, nth, *words = sys.argv[1:]
    sys.path.insert(0, os.getcwd())
    sys.argv = ["pipeline", *words]
    from pipeline.cli import main

    kill_at(event, pattern, int(nth))
    sys.exit(main())
