"""The command line that goes on from where this process stops."""

import shlex
import sys


def command_again(*more: str) -> str:
    """This process's command line, with further words at its end."""
    return shlex.join(["python", "-m", "pipeline", *sys.argv[1:], *more])
