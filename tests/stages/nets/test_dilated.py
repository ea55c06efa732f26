"""The phase-wise gradients against torch's own in float64."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.nets.catalogue import build
from stages.nets.dilated import DilatedConv2d, phases

DEPTHWISE, DENSE, WIDE = (24, 24, 24), (25, 28, 1), (32, 64, 1)


def exact_gradients(x: Tensor, weight: Tensor, grad: Tensor, conv: nn.Conv2d) -> tuple[Tensor, ...]:
    x, weight = x.detach().double().requires_grad_(), weight.detach().double().requires_grad_()
    out = F.conv2d(x, weight, None, 1, conv.padding, conv.dilation, conv.groups)
    return torch.autograd.grad(out, (x, weight), grad.double())


@pytest.mark.parametrize("channels", [DEPTHWISE, DENSE, WIDE])
@pytest.mark.parametrize("dilation", [2, 4, 16])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.01), (torch.float32, 1e-5)])
@pytest.mark.parametrize("grid", [(13, 18), (32, 48)])
def test_gradients_equal_float64(
    channels: tuple[int, int, int], dilation: int, dtype: torch.dtype, tolerance: float, grid: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    conv = DilatedConv2d(channels[0], channels[1], dilation, channels[2]).to(dtype).train()
    x = torch.randn(3, channels[0], *grid).to(dtype).to(memory_format=torch.channels_last).requires_grad_()
    grad = torch.randn(3, channels[1], *grid).to(dtype).to(memory_format=torch.channels_last)
    got = torch.autograd.grad(conv(x), (x, conv.weight), grad)
    for ours, exact in zip(got, exact_gradients(x, conv.weight, grad, conv), strict=True):
        assert (ours.double() - exact).norm() <= tolerance * exact.norm()


@pytest.mark.parametrize("channels", [DEPTHWISE, DENSE])
def test_values_are_those_of_conv2d(channels: tuple[int, int, int]) -> None:
    conv = DilatedConv2d(channels[0], channels[1], 2, channels[2])
    x = torch.randn(2, channels[0], 9, 11)
    expected = F.conv2d(x, conv.weight, None, 1, 2, 2, channels[2])
    torch.testing.assert_close(conv.train()(x), expected)
    torch.testing.assert_close(conv.eval()(x), expected)


def test_autocast_gives_float32_weight_gradients() -> None:
    conv = DilatedConv2d(8, 8, 2, groups=8).train()
    with torch.autocast("cpu", torch.bfloat16):
        out = conv(torch.randn(2, 8, 8, 8))
    out.float().sum().backward()
    assert out.dtype == torch.bfloat16 and conv.weight.grad is not None
    assert conv.weight.grad.dtype == torch.float32 and conv.weight.grad.isfinite().all()


@pytest.mark.parametrize("kernel", [(3, 1), (1, 3)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_one_axis_and_a_bias(kernel: tuple[int, int], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    conv = DilatedConv2d(12, 12, 4, bias=True, kernel=kernel).to(dtype).train()
    x = torch.randn(2, 12, 13, 18).to(dtype).to(memory_format=torch.channels_last).requires_grad_()
    out = conv(x)
    grad = torch.randn(out.shape).to(dtype).to(memory_format=torch.channels_last)
    got = torch.autograd.grad(out, (x, conv.weight, conv.bias), grad)
    tolerance = 0.01 if dtype == torch.bfloat16 else 1e-5
    exact = (*exact_gradients(x, conv.weight, grad, conv), grad.double().sum((0, 2, 3)))
    for ours, theirs in zip(got, exact, strict=True):
        assert (ours.double() - theirs).norm() <= tolerance * theirs.norm()
    expected = F.conv2d(x.double(), conv.weight.double(), conv.bias.double(), 1, conv.padding, conv.dilation)
    assert (out.double() - expected).abs().max() <= tolerance * expected.abs().max()


def test_phases_take_every_other_cell() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert phases(x, 2)[1, 0].tolist() == [[1.0, 3.0], [9.0, 11.0]]
    assert phases(x[..., :3], 2)[1, 0].tolist() == [[1.0, 0.0], [9.0, 0.0]]


NETWORKS = [
    ("pspnet_resnet18", {"width": 0.3}),
    ("pspnet_resnet50", {"width": 0.25}),
    ("pspnet_mobilenet_v2", {}),
    ("espnet", {}),
    ("enet", {}),
    ("erfnet", {}),
    ("deeplabv3_resnet18", {"width": 0.3}),
    ("pp_liteseg_t", {"width": 0.25}),
]


def distinct_convolutions(net: nn.Module) -> list[nn.Module]:
    """One convolution of each kind in the network, in channels_last."""
    kinds = {}
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            kinds[type(layer), layer.weight.shape, layer.stride, layer.dilation] = layer
    return [layer.to(memory_format=torch.channels_last) for layer in kinds.values()]


@pytest.mark.parametrize(("net_name", "args"), NETWORKS)
def test_bfloat16_weight_gradients_of_every_convolution_of_a_network(net_name: str, args: dict[str, float]) -> None:
    torch.manual_seed(0)
    for layer in distinct_convolutions(build(net_name, 19, **args)):
        x = torch.randn(2, layer.in_channels, 24, 33)
        # In eval mode and float32 the gradient is torch's own.
        expected_out = layer.eval()(x)
        grad = torch.randn_like(expected_out)
        (expected,) = torch.autograd.grad(expected_out, layer.weight, grad)
        with torch.autocast("cpu", torch.bfloat16):
            out = layer.train()(x.to(memory_format=torch.channels_last))
        last = grad.bfloat16().to(memory_format=torch.channels_last)
        (actual,) = torch.autograd.grad(out, layer.weight, last)
        assert (actual - expected).norm() <= 0.01 * expected.norm(), layer
