"""The splits of a data set by what a board can tell of them: how many pictures, and which."""

from typing import Any

from export.deploy.pairs import pairs_sha256
from stages.datasets.index import Index


def labelled_splits(index: Index) -> dict[str, dict[str, Any]]:
    """`images` and `pairs_sha256` of every split that can be scored."""
    return {
        name: {
            "images": len(samples),
            "pairs_sha256": pairs_sha256((s.image_sha256, s.label_sha256) for s in samples if s.label_sha256),
        }
        for name, samples in index.splits.items()
        if index.labelled(name)
    }
