"""How long a stage took and how large its artifact was, the last time that it was made."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.graph import BY_NAME
from pipeline.store.inventory import created, size_bytes
from pipeline.store.store import Artifact, Store


@dataclass(frozen=True)
class Last:
    """What the last artifact of a stage cost."""

    seconds: float
    bytes: int
    recipe: str
    """The recipe for which it was made."""
    digest: str

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"seconds": self.seconds, "bytes": self.bytes, "recipe": self.recipe, "digest": self.digest}


def last_made(store: Store, recipe: str, stage: str) -> Last | None:
    """Of the artifact made last for this stage of this recipe, otherwise of the newest of its kind."""
    artifact = store.last(recipe, stage) or newest(store.artifacts(BY_NAME[stage].kind))
    if artifact is None:
        return None
    manifest = artifact.manifest
    return Last(float(manifest["seconds"]), size_bytes(artifact), str(manifest["recipe"]), artifact.digest)


def newest(artifacts: Iterable[Artifact]) -> Artifact | None:
    """The artifact that was made last."""
    return max(artifacts, key=created, default=None)
