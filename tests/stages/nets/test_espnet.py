import torch
from torch import nn

from stages.nets.espnet import SpatialPyramid


def centred(convolution: nn.Conv2d) -> None:
    """Make every output of a 3x3 convolution the sum of its inputs at the same cell."""
    nn.init.zeros_(convolution.weight)
    nn.init.ones_(convolution.weight[..., 1, 1])


def test_sums_grow_with_the_rates_beside_the_undilated_map() -> None:
    pyramid = SpatialPyramid(3, 10).eval()
    pyramid.norm_act = nn.Identity()
    with torch.no_grad():
        nn.init.ones_(pyramid.reduce.weight)
        for convolution in pyramid.dilated:
            centred(convolution)
        out = pyramid(torch.ones(1, 3, 4, 6))
    # 3 ones are reduced to two maps of 3; each 3x3 sums both to 6, and the sums start at rate 2.
    assert out[0, :, 2, 2].tolist() == [6, 6, 6, 6, 12, 12, 18, 18, 24, 24]
    assert [c.dilation for c in pyramid.dilated] == [(1, 1), (2, 2), (4, 4), (8, 8), (16, 16)]


def test_the_undilated_map_takes_the_channels_that_five_do_not_divide() -> None:
    pyramid = SpatialPyramid(19, 64, stride=2)
    assert [c.out_channels for c in pyramid.dilated] == [16, 12, 12, 12, 12]
    assert pyramid(torch.zeros(1, 19, 9, 12)).shape == (1, 64, 5, 6)


def test_residual_module_adds_its_input() -> None:
    pyramid = SpatialPyramid(10, 10, residual=True)
    pyramid.norm_act = nn.Identity()
    for convolution in pyramid.dilated:
        nn.init.zeros_(convolution.weight)
    x = torch.randn(1, 10, 4, 6)
    assert torch.equal(pyramid(x), x)
