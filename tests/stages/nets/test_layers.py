import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.errors import NetworkError
from stages.nets.layers import conv_bn_relu, cropped, global_average, require_two_images, resized, scaled


def test_widths_are_multiples_of_eight_near_the_product() -> None:
    assert [scaled(64, width) for width in (1.0, 0.5, 0.3, 0.01)] == [64, 32, 24, 8]
    with pytest.raises(NetworkError, match=r"width is 0; give a factor above 0"):
        scaled(64, 0)


def test_a_dilated_convolution_keeps_the_grid() -> None:
    layers = conv_bn_relu(4, 6, 3, dilation=5)
    assert layers(torch.zeros(2, 4, 7, 9)).shape == (2, 6, 7, 9)
    assert layers[0].dilation == (5, 5) and layers[0].bias is None
    assert isinstance(layers[2], nn.ReLU)


@pytest.mark.parametrize("align_corners", [True, False])
def test_resizing_follows_the_other_map_and_keeps_the_dtype(align_corners: bool) -> None:
    x, like = torch.randn(1, 2, 3, 5), torch.zeros(1, 1, 7, 8)
    expected = F.interpolate(x, (7, 8), mode="bilinear", align_corners=align_corners)
    assert torch.equal(resized(x, like, align_corners), expected)
    assert resized(x, torch.zeros(1, 9, 3, 5)) is x
    with torch.autocast("cpu", torch.bfloat16):
        assert resized(x.bfloat16(), like).dtype == torch.bfloat16


def test_cropping_takes_the_last_cells_away() -> None:
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    assert cropped(x, torch.zeros(1, 1, 1, 2)).tolist() == [[[[0, 1]]]]
    assert cropped(x, x) is x


def test_global_average() -> None:
    assert global_average(torch.arange(4.0).reshape(1, 1, 2, 2)).tolist() == [[[[1.5]]]]


def test_one_image_is_refused_in_training_only() -> None:
    module = nn.Identity()
    with pytest.raises(NetworkError, match=r"Identity normalises .* at least 2 images per process"):
        require_two_images(torch.zeros(1, 2, 3, 3), module)
    require_two_images(torch.zeros(2, 2, 3, 3), module)
    require_two_images(torch.zeros(1, 2, 3, 3), module.eval())
