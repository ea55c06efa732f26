"""Where an artifact comes from and what was made from it: by digest, through everything that the store holds."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.store.inventory import Address, Inventory, address, created
from pipeline.store.store import Artifact


@dataclass(frozen=True)
class Node:
    """One artifact in a tree, or an input that is not in the store."""

    stage: str
    digest: str | None
    """None for an input that was skipped."""
    artifact: Artifact | None
    tags: Sequence[str] = ()
    below: tuple["Node", ...] = ()
    repeated: bool = False
    """Whether the tree shows what is below it at another place."""

    def to_json(self) -> dict[str, Any]:
        """The node and all below it as plain data."""
        manifest = self.artifact.manifest if self.artifact else {}
        return {
            "stage": self.stage,
            "digest": self.digest,
            "state": "in store" if self.artifact else "gone" if self.digest else "skipped",
            **{name: manifest.get(name) for name in ("kind", "key", "recipe", "created", "summary", "accepted")},
            "tags": list(self.tags),
            "repeated": self.repeated,
            "below": [node.to_json() for node in self.below],
        }


Descend = Callable[[Artifact, set[Address]], tuple[Node, ...]]


class Lineage:
    """Both directions from any artifact of an inventory."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.users: dict[tuple[str, str], list[Artifact]] = defaultdict(list)
        """By kind and digest: the artifacts that were made from it."""
        for artifact in sorted(inventory.artifacts.values(), key=created):
            for sources in inventory.upstream(artifact).values():
                for kind, digest in {(s.manifest["kind"], s.digest) for s in sources}:
                    self.users[kind, digest].append(artifact)

    def tree(self, artifact: Artifact) -> dict[str, Any]:
        """`artifact`, `upstream` and `downstream` as plain data."""
        return {
            "artifact": self.node(artifact).to_json(),
            "upstream": [node.to_json() for node in self.upstream(artifact, {address(artifact)})],
            "downstream": [node.to_json() for node in self.downstream(artifact, {address(artifact)})],
        }

    def node(self, artifact: Artifact, below: tuple[Node, ...] = (), repeated: bool = False) -> Node:
        """The artifact with its tags."""
        tags = self.inventory.tags.get(address(artifact), ())
        return Node(str(artifact.manifest["stage"]), artifact.digest, artifact, tags, below, repeated)

    def upstream(self, artifact: Artifact, seen: set[Address]) -> tuple[Node, ...]:
        """What an artifact was made from, and so on up to the data set."""
        sources = self.inventory.upstream(artifact)
        nodes = []
        for stage, digest in artifact.manifest["components"]["inputs"].items():
            if found := sources.get(stage):
                nodes.append(self.once(found[0], seen, self.upstream))
            else:
                nodes.append(Node(stage, digest if stage in sources else None, None))
        return tuple(nodes)

    def downstream(self, artifact: Artifact, seen: set[Address]) -> tuple[Node, ...]:
        """What was made from an artifact, and so on to the last report."""
        users = self.users.get((artifact.manifest["kind"], artifact.digest), ())
        return tuple(self.once(user, seen, self.downstream) for user in users)

    def once(self, artifact: Artifact, seen: set[Address], descend: Descend) -> Node:
        """The artifact's node; what is below it only where the tree meets it first."""
        if address(artifact) in seen:
            return self.node(artifact, repeated=True)
        seen.add(address(artifact))
        return self.node(artifact, descend(artifact, seen))
