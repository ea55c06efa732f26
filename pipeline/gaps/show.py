"""What `show` tells of a student's gaps: beside its own figures those of the same student without distillation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.gaps.pictures import draw_distances
from pipeline.gaps.report import GAPS, gaps_json, gaps_text, panels, read_gaps
from pipeline.graph import BY_NAME
from pipeline.references import SHOWN
from pipeline.store.store import Artifact, Store

BASELINE = BY_NAME["baseline"]


@dataclass(frozen=True)
class GapsShown:
    """The gaps of one artifact, for people and for programs."""

    text: str
    json: dict[str, Any]


def show_gaps(store: Store, artifact: Artifact) -> GapsShown | None:
    """The gaps of an artifact; None where none were measured or where there was no teacher to compare with.

    Where the store holds the same student without distillation, the heat map is drawn again with that one's graph.
    """
    gaps = read_gaps(artifact.folder)
    if gaps is None or "teacher" not in next(iter(gaps["inter_class"]["graphs"].values())):
        return None
    twin = without_distillation(store, artifact)
    baseline = read_gaps(twin.folder) if twin else None
    drawn = [artifact.folder / name for name in artifact.manifest["files"] if name.endswith(".png")]
    note = "no such student without distillation in the store: method none under the same settings gives one"
    if twin and baseline:
        note = f"without distillation: {twin.manifest['kind']}@{twin.digest[:SHOWN]}"
        compared = store.home / "shown" / f"{artifact.digest[:SHOWN]}-{twin.digest[:SHOWN]}" / "class_distances.png"
        draw_once(compared, gaps, baseline)
        drawn = [compared, *drawn]
    pictures = [str(path) for path in drawn]
    text = "\n".join([gaps_text(gaps, baseline, note), *pictures])
    return GapsShown(text, {**gaps_json(gaps, baseline), "pictures": pictures})


def draw_once(path: Path, gaps: dict[str, Any], baseline: dict[str, Any]) -> None:
    """The heat map with the baseline's graph; what two digests name is drawn but once."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_distances(path, gaps["classes"], panels(gaps, baseline))


def without_distillation(store: Store, artifact: Artifact) -> Artifact | None:
    """The newest artifact that differs from this one by the settings of the baseline alone, on the same data."""

    def made_from(made: Artifact) -> tuple[Any, Any]:
        return made.manifest["components"]["config"], made.manifest["components"]["inputs"]["data"]

    config, data = made_from(artifact)
    wanted = ({**config, **BASELINE.overrides}, data)
    alike = [a for a in store.artifacts(BASELINE.kind) if made_from(a) == wanted and GAPS in a.manifest["files"]]
    return max(alike, key=lambda a: a.manifest["created"], default=None)
