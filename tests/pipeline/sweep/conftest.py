"""One tiny sweep for all tests that look at what a sweep leaves behind."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FILE = """# A method each, and one row that cannot train: a pyramid's batch norm needs two images.
[sweep]
seeds = 2
baseline = "none"

[[sweep.axes]]
name = "row"
[sweep.axes.bundles.none]
distill.method = "none"
[sweep.axes.bundles.idd]
distill.method = "idd"
[sweep.axes.bundles.broken]
distill.method = "none"
distill.batch = 1
"""

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Swept:
    """A home in which the sweep `tiny` was run, what it said, and how to run it again."""

    home: Path
    first: Done
    again: Callable[..., Done]


@pytest.fixture(scope="session")
def swept(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """A tiny sweep of two methods and a row that fails."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "tiny.toml").write_text(FILE)

    def again(*arguments: str, **changes: str) -> Done:
        words = (str(folder / "tiny.toml"), "--json", *arguments)
        return pipeline("sweep", folder / "home", *words, bench__baseline="false", **changes)

    return Swept(folder / "home", again(), again)
