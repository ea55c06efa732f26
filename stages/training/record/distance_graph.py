"""The inter-class distance graph of a network (IDD section 3.2), averaged over images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stages.losses.edges import distances, mean_edge
from stages.losses.tokens import class_tokens, labels_on_grid

DIGITS = 4


class DistanceGraph:
    """Mean over images of one map's graph, each image's divided by its mean edge so that unlike widths compare."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.relative_KK = torch.zeros(classes, classes, dtype=torch.float64)
        self.images_KK = torch.zeros(classes, classes, dtype=torch.int64)
        self.mean_edges: list[float] = []

    def add(self, map_1Dhw: Tensor, labels_1HW: Tensor) -> None:
        """Count one image: map 1 x D x h x w, labels 1 x H x W, 255 = ignore; one with a single class adds nothing."""
        labels_1hw = labels_on_grid(labels_1HW, map_1Dhw.shape[-2:])
        tokens_1KD, present_1K = class_tokens(map_1Dhw, labels_1hw, self.classes)
        other_KK = ~torch.eye(self.classes, dtype=torch.bool, device=present_1K.device)
        pairs_1KK = present_1K[:, :, None] & present_1K[:, None, :] & other_KK
        if not pairs_1KK.any():
            return
        edges_1KK = distances(tokens_1KD, pairs_1KK)
        mean_111 = mean_edge(edges_1KK, pairs_1KK.sum(dim=(1, 2)))
        self.relative_KK += (edges_1KK / mean_111)[0].double().cpu()
        self.images_KK += pairs_1KK[0].cpu()
        self.mean_edges.append(float(mean_111))

    def to_json(self) -> dict[str, Any]:
        """`relative`, K x K, None where no image has both classes; `mean_distance` in the map's own units, or None."""
        mean_KK = self.relative_KK / self.images_KK.clamp(min=1)
        rows = [
            [round(value, DIGITS) if images else None for value, images in zip(values, counts, strict=True)]
            for values, counts in zip(mean_KK.tolist(), self.images_KK.tolist(), strict=True)
        ]
        edges = self.mean_edges
        return {"relative": rows, "mean_distance": sum(edges) / len(edges) if edges else None}
