"""Rank correlation by hand, and the sanity check of Islam et al. 2020: padding is where position comes from."""

import numpy as np
import pytest
import torch
from torch import nn

from stages.nets.position import PositionNet, position_targets
from stages.training.readout import average_ranks, score, spearman

GRID = 20


def test_average_ranks_share_ties() -> None:
    assert average_ranks(np.array([10.0, 20.0, 20.0, 5.0])).tolist() == [2.0, 3.5, 3.5, 1.0]


def test_spearman_by_hand() -> None:
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 100.0, 1000.0])) == pytest.approx(1.0)
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1.0)
    # Ranks 1 2 3 4 against 2 1 4 3: 1 - 6 * 4 / (4 * 15)
    assert spearman(np.arange(4.0), np.array([1.0, 0.0, 3.0, 2.0])) == pytest.approx(0.6)
    assert spearman(np.arange(4.0), np.ones(4)) == 0.0


def noise_correlation(padding: int) -> float:
    """Mean Spearman over both axes of a read-out trained on noise through a fixed random encoder."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3, padding=padding), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Conv2d(16, 16, 3, padding=padding), nn.ReLU()]
    encoder = nn.Sequential(*layers).requires_grad_(False)
    net = PositionNet(16, 16)
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    side = GRID if padding else GRID + 8
    for _ in range(150):
        maps = encoder(torch.rand(4, 3, side, side))
        loss = (net(maps) - position_targets(GRID, GRID, net.margin)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        held_out = [encoder(torch.rand(1, 3, side, side))[0] for _ in range(8)]
    scores = score(net, iter(held_out))
    return float(np.mean([axis["spearman"] for axis in scores.values()]))


def test_noise_has_no_position_without_padding_and_some_with() -> None:
    assert abs(noise_correlation(padding=0)) < 0.1
    assert noise_correlation(padding=1) > 0.25
