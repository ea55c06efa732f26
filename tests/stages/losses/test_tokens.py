from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stages.losses.tokens import class_tokens, labels_on_grid

Make = Callable[..., Tensor]


def test_tokens_are_mean_features(randn: Make, random_labels: Make) -> None:
    features, labels = randn(2, 5, 6, 7), random_labels(3, 2, 6, 7).long()
    labels[1][labels[1] == 2] = 255
    tokens_NKD, present_NK = class_tokens(features, labels, classes=4)
    assert present_NK.tolist() == [[True, True, True, False], [True, True, False, False]]
    for n in range(2):
        for k in range(4):
            pixels = [features[n, :, y, x] for y in range(6) for x in range(7) if labels[n, y, x].item() == k]
            expected = torch.stack(pixels).mean(dim=0) if pixels else torch.zeros(5, dtype=torch.float64)
            torch.testing.assert_close(tokens_NKD[n, k], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("grid_hw", [(5, 9), (4, 4), (16, 24)])
def test_label_grids(random_labels: Make, grid_hw: tuple[int, int]) -> None:
    labels = random_labels(19, 2, 16, 24)
    public, aligned = (labels_on_grid(labels, grid_hw, name) for name in ("public", "aligned"))
    h, w = grid_hw
    for y in range(h):
        for x in range(w):
            assert torch.equal(public[:, y, x], labels[:, y * 16 // h, x * 24 // w].long())
            on_corners = labels[:, round(y * 15 / (h - 1)), round(x * 23 / (w - 1))]
            assert torch.equal(aligned[:, y, x], on_corners.long())


def test_ignore_stays_ignore() -> None:
    labels = torch.full((1, 8, 8), 255, dtype=torch.uint8)
    for name in ("public", "aligned"):
        assert labels_on_grid(labels, (3, 3), name).unique().tolist() == [255]
