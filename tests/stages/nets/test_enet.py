import pytest
import torch
from torch.nn import functional as F

from stages.nets.enet import Downsampling, unpooled


@pytest.mark.parametrize("grid", [(6, 8), (4, 4)])
def test_unpooling_equals_torchs_where_no_window_ties(grid: tuple[int, int]) -> None:
    source = torch.randperm(3 * grid[0] * grid[1]).float().reshape(1, 3, *grid)
    pooled, where = F.max_pool2d(source, 2, return_indices=True)
    x = torch.randn(pooled.shape)
    assert torch.equal(unpooled(x, source), F.max_unpool2d(x, where, 2))


def test_equal_maxima_all_get_the_value() -> None:
    source = torch.tensor([[[[5.0, 5.0, 1.0], [0.0, 5.0, 2.0]]]])
    assert unpooled(torch.tensor([[[[7.0, 9.0]]]]), source).tolist() == [[[[7, 7, 0], [0, 7, 9]]]]


def test_the_shortcut_of_a_downsampling_is_the_pooled_map_and_zeros() -> None:
    block = Downsampling(2, 8, dropout=0.0).eval()
    torch.nn.init.zeros_(block.branch[-1][0].weight)
    x = torch.arange(18.0).reshape(1, 2, 3, 3)
    out = block(x)
    assert out.shape == (1, 8, 2, 2)
    assert out[0, 1].tolist() == [[13, 14], [16, 17]]
    assert out[0, 2:].eq(0).all()
