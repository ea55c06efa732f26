"""Short measurements on this machine, remembered until the machine, torch or the code changes."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.store.durable import replace_text

REMEMBERED = 256
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which users set how many threads torch takes."""

Answer = Mapping[str, float]


class Rehearsals:
    """Answers by question; the file may be deleted at any time."""

    def __init__(self, path: Path, facts: Mapping[str, Any], say: Callable[[str], None]) -> None:
        self.path = path
        self.machine = {**facts, **{name: os.environ.get(name) for name in THREADS}}
        self.say = say

    @cached_property
    def answers(self) -> dict[str, dict[str, float]]:
        """What was measured, by the digest of machine and question, the latest last."""
        try:
            answers = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return {}
        return answers if isinstance(answers, dict) else {}

    def ask(self, what: str, question: Mapping[str, Any], measure: Callable[[], Answer]) -> Answer:
        """The numbers that `measure` gives, from the cache where this machine has answered the question before."""
        text = json.dumps([self.machine, what, question], sort_keys=True, default=str)
        key = hashlib.sha256(text.encode()).hexdigest()
        if key not in self.answers:
            self.say(f"rehearses, a few seconds: {what}")
            self.answers[key] = dict(measure())
            self.save()
        return self.answers[key]

    def save(self) -> None:
        """Write the latest answers; where that cannot be done, nothing but time is lost."""
        try:
            replace_text(self.path, json.dumps(dict(list(self.answers.items())[-REMEMBERED:])))
        except OSError as error:
            self.say(f"the rehearsal is not kept: {error}")
