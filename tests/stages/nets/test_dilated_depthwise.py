"""The phase-wise weight gradient against torch's own in float64."""

import pytest
import torch
from torch.nn import functional as F

from stages.nets.dilated_depthwise import DilatedDepthwise, phases


def reference_gradients(x, weight, grad, dilation):
    x, weight = (t.detach().double().requires_grad_() for t in (x, weight))
    out = F.conv2d(x, weight, None, 1, dilation, dilation, weight.shape[0])
    return torch.autograd.grad(out, (x, weight), grad.double())


@pytest.mark.parametrize("dilation", [2, 4])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.01), (torch.float32, 1e-5)])
def test_gradients_equal_float64(dilation: int, dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    conv = DilatedDepthwise(24, dilation).to(dtype).train()
    x = torch.randn(3, 24, 13, 18).to(dtype).to(memory_format=torch.channels_last).requires_grad_()
    grad = torch.randn(3, 24, 13, 18).to(dtype).to(memory_format=torch.channels_last)
    got = torch.autograd.grad(conv(x), (x, conv.weight), grad)
    for ours, exact in zip(got, reference_gradients(x, conv.weight, grad, dilation), strict=True):
        assert (ours.double() - exact).norm() <= tolerance * exact.norm()


def test_training_and_evaluation_agree() -> None:
    torch.manual_seed(0)
    conv = DilatedDepthwise(8, 2)
    x = torch.randn(2, 8, 9, 11)
    torch.testing.assert_close(conv.train()(x), conv.eval()(x))


def test_autocast_gives_fp32_weight_gradients() -> None:
    conv = DilatedDepthwise(8, 2).train()
    with torch.autocast("cpu", torch.bfloat16):
        out = conv(torch.randn(2, 8, 8, 8))
    out.float().sum().backward()
    assert out.dtype == torch.bfloat16 and conv.weight.grad is not None
    assert conv.weight.grad.dtype == torch.float32 and conv.weight.grad.isfinite().all()


def test_phases_take_every_other_cell() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert phases(x, 2)[1, 0].tolist() == [[1.0, 3.0], [9.0, 11.0]]
