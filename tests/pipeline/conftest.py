"""The command line, as a user calls it."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.graph import BY_NAME
from pipeline.store.store import Artifact, Store

ROOT = Path(__file__).resolve().parent.parent.parent

TINY = {
    "data.train_images": "12",
    "data.val_images": "2",
    "data.test_images": "4",
    "teacher.iterations": "3",
    "teacher.crop_px": "[64, 96]",
    "position.iterations": "3",
    "distill.iterations": "3",
    "distill.crop_px": "[64, 96]",
    "bench.warmup_s": "0.1",
    "bench.roofline": "false",
    "bench.peak_memory": "false",
    "bench.min_s": "0.1",
    "bench.max_s": "0.3",
    "bench.baseline": "true",
}
"""The quickstart recipe, small enough for a test of the machinery; its networks have learnt nothing."""


Done = subprocess.CompletedProcess[str]


class Pipeline:
    """`pipeline("status", home, "--json", distill__lr="0.02")`: the verb on a home, with tiny settings and changes."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        """Folder of the packages that run."""

    def settings(self, **changes: str) -> dict[str, str]:
        """The tiny settings with changes."""
        return {**TINY, **{name.replace("__", "."): value for name, value in changes.items()}}

    def words(self, verb: str, home: Path, *arguments: str, **changes: str) -> list[str]:
        """Arguments of `python -m pipeline`."""
        values = self.settings(**changes)
        settings = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
        return [verb, "--home", str(home), *settings, *arguments]

    def __call__(self, verb: str, home: Path, *arguments: str, **changes: str) -> Done:
        command = [sys.executable, "-m", "pipeline", *self.words(verb, home, *arguments, **changes)]
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    """The command line under the tiny settings."""
    return Pipeline()


@pytest.fixture(scope="session")
def finished(
    pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Home of a tiny run up to the report, and what the command said."""
    home = tmp_path_factory.mktemp("finished")
    done = pipeline("run", home, "--json")
    assert done.returncode == 0, done.stderr
    return home, done


@pytest.fixture
def checkout(finished: tuple[Path, Done], tmp_path: Path) -> tuple[Pipeline, Path]:
    """A copy of the packages, to be edited, and a copy of the home that a tiny run filled."""
    for package in ("pipeline", "stages", "export", "bench"):
        shutil.copytree(ROOT / package, tmp_path / "code" / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(finished[0], tmp_path / "home", symlinks=True)
    return Pipeline(tmp_path / "code"), tmp_path / "home"


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """`call("gc", "--home", home)`: the command line within this process; exit code, stdout, stderr."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pipeline", *map(str, words)])
        capsys.readouterr()
        code = main()
        return code, *capsys.readouterr()

    return call


class Shelf:
    """A store filled by hand with artifacts of one small file."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = Store(home)
        self.began = datetime.now(UTC) - timedelta(hours=1)
        self.count = 0

    def add(
        self,
        stage: str,
        inputs: Mapping[str, Artifact] | None = None,
        content: str | None = None,
        days_old: float = 0,
        files: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> Artifact:
        """Publish one, a second younger than the one before; `content` None makes it unlike all others."""
        self.count += 1
        inputs = inputs or {}
        key = changes.pop("key", None) or hashlib.sha256(str(self.count).encode()).hexdigest()
        named = {name: {"key": each.key, "digest": each.digest} for name, each in inputs.items()}
        components = {"config": {}, "code": {}, "inputs": {name: each.digest for name, each in inputs.items()}}
        manifest = {
            "stage": stage,
            "kind": BY_NAME[stage].kind,
            "key": key,
            "recipe": "quickstart",
            "components": {**components, **changes.pop("components", {})},
            "inputs": named,
            "summary": {},
            "created": (self.began + timedelta(seconds=self.count, days=-days_old)).isoformat(timespec="seconds"),
            "seconds": 1.0,
            "environment": {},
            **changes,
        }
        work = self.store.new_work_folder()
        for name, text in {"model.txt": content or str(self.count), **(files or {})}.items():
            (work / name).write_text(text)
        return self.store.publish(work, manifest, ())


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """An empty store to be filled by hand."""
    return Shelf(tmp_path / "home")
