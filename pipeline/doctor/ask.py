"""Asking a heavy or native library about itself in a process of its own: one that crashes takes nothing with it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 120


@dataclass(frozen=True)
class Answer:
    """What the function returned, or why it did not."""

    value: Any
    fault: str | None
    stderr: str
    """Native libraries give their reasons there alone."""


def ask(module: str, function: str, *arguments: str) -> Answer:
    """Call `function` of `module` with strings in a fresh interpreter; what it returns must fit into JSON."""
    code = (
        f"import json, sys; from {module} import {function} as asked\n"
        "answer = asked(*sys.argv[1:])\n"
        "print('\\n' + json.dumps(answer))"
    )
    command = [sys.executable, "-c", code, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return Answer(None, f"no answer within {TIMEOUT_S} s", "")
    if done.returncode < 0:
        return Answer(None, f"crashed with signal {-done.returncode}", done.stderr)
    if done.returncode:
        return Answer(None, (done.stderr.strip().splitlines() or ["no reason given"])[-1], done.stderr)
    return Answer(json.loads(done.stdout.splitlines()[-1]), None, done.stderr)
