"""What a sweep leaves below the store's home.

sweeps/<name>/sweep.json          definition, and under equal time what was measured and chosen
sweeps/<name>/cells/<cell>.json   pointer to the last artifact of each cell: the reference <name>/<cell>
sweeps/<name>/results.json, results.md, results.png
"""

import json
import re
import shutil
from collections.abc import Collection, Sequence
from typing import Any

from pipeline.errors import RecipeError
from pipeline.store.durable import replace_text
from pipeline.store.store import Artifact, Store
from pipeline.sweep import render
from pipeline.sweep.plot import draw
from pipeline.sweep.results import Table


class SweepFolder:
    """The files of one sweep."""

    def __init__(self, store: Store, name: str) -> None:
        if not re.fullmatch(r"[\w.=+-]+", name):
            raise RecipeError(f"--name {name}: use letters, digits and _ . = + -")
        self.store = store
        self.name = name
        self.path = store.home / "sweeps" / name

    def read(self) -> dict[str, Any]:
        """What sweep.json holds; nothing where there is none."""
        path = self.path / "sweep.json"
        try:
            values: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise RecipeError(f"{path} is not valid JSON: delete it and run the sweep again") from error
        return values

    def write(self, values: dict[str, Any]) -> None:
        """Write sweep.json."""
        replace_text(self.path / "sweep.json", json.dumps(values, indent=1) + "\n")

    def check_same(self, identity: dict[str, Any]) -> None:
        """RecipeError where a sweep of this name was something else; other values and seeds may join it."""
        before = self.read().get("identity", identity)
        changed = [name for name in identity if identity[name] != before.get(name)]
        if changed:
            raise RecipeError(
                f"sweep {self.name} exists and differs in its {', '.join(changed)}: give --name for a new one, "
                f"or delete {self.path}"
            )

    def point(self, cell: str, artifact: Artifact) -> None:
        """Let the reference <name>/<cell> mean this artifact."""
        self.store.point(self.path / "cells" / f"{cell}.json", artifact)

    def keep_only(self, cells: Collection[str]) -> None:
        """Remove pointers of cells that are no longer part of the sweep, and what was remembered of their recipes."""
        for path in (self.path / "cells").glob("*.json"):
            if path.stem not in cells:
                path.unlink()
                shutil.rmtree(self.store.home / "last" / f"{self.name}.{path.stem}", ignore_errors=True)

    def write_results(self, results: Table, notes: Sequence[str]) -> None:
        """Write results.json and results.md."""
        replace_text(self.path / "results.json", json.dumps(results.to_json(), indent=1) + "\n")
        replace_text(self.path / "results.md", render.markdown(results, f"Sweep {self.name}", notes))

    def draw(self, results: Table) -> None:
        """Write results.png."""
        draw(results, self.path / "results.png", f"Sweep {self.name}")
