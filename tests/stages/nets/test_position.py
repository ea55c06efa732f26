import pytest
import torch

from pipeline.errors import NetworkError
from stages.nets.position import PositionNet, position_targets


def test_targets_are_the_cropped_ramps_of_the_full_grid() -> None:
    hor, ver = position_targets(5, 7, margin=1)
    assert hor.shape == ver.shape == (3, 5)
    for row in hor:
        torch.testing.assert_close(row, torch.tensor([1, 2, 3, 4, 5]) / 6)
    for column in ver.T:
        torch.testing.assert_close(column, torch.tensor([1, 2, 3]) / 4)
    whole = position_targets(5, 7, margin=0)
    assert whole[0, 0, 0] == 0 and whole[0, 0, -1] == 1 and whole[1, 0, 0] == 0 and whole[1, -1, 0] == 1


def test_answers_fit_the_targets() -> None:
    net = PositionNet(channels=6, hidden=4)
    answers = net(torch.randn(2, 6, 9, 12))
    assert answers.shape == (2, *position_targets(9, 12, net.margin).shape)
    assert answers.min() > 0 and answers.max() < 1


def test_nothing_leaks_in_from_the_border() -> None:
    answers = PositionNet(channels=6, hidden=4)(torch.ones(1, 6, 9, 12))
    assert (answers.amax((2, 3)) - answers.amin((2, 3))).max() < 1e-6


def test_answers_are_float32_under_autocast() -> None:
    net = PositionNet(channels=6, hidden=4)
    with torch.autocast("cpu", torch.bfloat16):
        assert net(torch.randn(1, 6, 9, 12)).dtype == torch.float32


@pytest.mark.parametrize("grid", [(4, 12), (12, 4)])
def test_a_grid_without_an_inner_cell(grid: tuple[int, int]) -> None:
    net = PositionNet(channels=6, hidden=4)
    with pytest.raises(NetworkError, match=f"{grid[0]}x{grid[1]} cells"):
        net(torch.randn(1, 6, *grid))
    with pytest.raises(NetworkError, match=f"{grid[0]}x{grid[1]} cells"):
        position_targets(*grid, net.margin)


@pytest.mark.parametrize("convolutions", [1, 2])
def test_an_adapter_is_composed_with_the_first_convolution(convolutions: int) -> None:
    torch.manual_seed(0)
    net = PositionNet(5, hidden=3, convolutions=convolutions).double()
    adapter = torch.nn.Conv2d(2, 5, 1, bias=False).double()
    features = torch.randn(2, 2, 7, 8, dtype=torch.float64).requires_grad_()
    found, expected = net(features, adapter).double(), net(adapter(features)).double()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    leaves = (features, adapter.weight)
    for a, b in zip(*(torch.autograd.grad(x.square().sum(), leaves) for x in (found, expected)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
