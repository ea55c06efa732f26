import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from stages.losses import upsampled as upsampled_module
from stages.losses.supervised import supervised

Make = Callable[..., Tensor]


def upsampled(channel_hw: Tensor, row: int, column: int, size_hw: tuple[int, int]) -> float:
    """Bilinear value at one pixel of the finer grid; corners lie on corners."""
    h, w = channel_hw.shape
    y, x = row * (h - 1) / (size_hw[0] - 1), column * (w - 1) / (size_hw[1] - 1)
    top, left = min(int(y), h - 2), min(int(x), w - 2)
    dy, dx = y - top, x - left
    upper = (1 - dx) * channel_hw[top, left] + dx * channel_hw[top, left + 1]
    lower = (1 - dx) * channel_hw[top + 1, left] + dx * channel_hw[top + 1, left + 1]
    return float((1 - dy) * upper + dy * lower)


def brute_force(logits_NChw: Tensor, labels_NHW: Tensor) -> float:
    losses = []
    size_hw = (labels_NHW.shape[1], labels_NHW.shape[2])
    for logits_Chw, labels_HW in zip(logits_NChw, labels_NHW.tolist(), strict=True):
        for row, ids in enumerate(labels_HW):
            for column, label in enumerate(ids):
                if label != 255:
                    scores = [upsampled(channel, row, column, size_hw) for channel in logits_Chw]
                    losses.append(math.log(sum(map(math.exp, scores))) - scores[label])
    return sum(losses) / len(losses)


def test_equals_the_formula(randn: Make, random_labels: Make) -> None:
    logits, labels = randn(2, 3, 3, 4), random_labels(3, 2, 7, 9)
    assert supervised(logits, labels).item() == pytest.approx(brute_force(logits, labels), abs=1e-9)


def test_gradient(randn: Make, random_labels: Make) -> None:
    labels = random_labels(3, 2, 5, 6)
    assert torch.autograd.gradcheck(lambda x: supervised(x, labels), randn(2, 3, 3, 4).requires_grad_())


def test_ignored_pixels_do_not_count(randn: Make) -> None:
    logits = randn(1, 3, 4, 4)
    labels = torch.full((1, 4, 4), 255, dtype=torch.uint8)
    labels[0, 1, 2] = 1
    expected = -torch.log_softmax(logits[0, :, 1, 2], dim=0)[1]
    assert supervised(logits, labels).item() == pytest.approx(expected.item(), abs=1e-9)


def test_nothing_but_ignored_pixels_gives_zero_with_a_live_graph(randn: Make) -> None:
    logits = randn(2, 3, 4, 4).requires_grad_()
    loss = supervised(logits, torch.full((2, 8, 8), 255, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and not logits.grad.any()


def test_bf16_logits_are_upsampled_in_fp32(randn: Make, random_labels: Make) -> None:
    logits, labels = (20 * randn(2, 3, 4, 4)).bfloat16(), random_labels(3, 2, 16, 16)
    loss = supervised(logits, labels)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(supervised(logits.float(), labels).item(), rel=1e-6)


def composed(logits: Tensor, labels: Tensor) -> Tensor:
    """The same value as torch composes it, for a batch with a valid pixel."""
    upsampled = F.interpolate(logits, size=labels.shape[-2:], mode="bilinear", align_corners=True)
    return F.cross_entropy(upsampled, labels.long(), ignore_index=255)


@pytest.mark.parametrize("block_values", [1, 100, 10**6])
@pytest.mark.parametrize("grid_hw", [(3, 5), (17, 40), (33, 30)])
def test_value_and_gradient_are_those_of_the_composition(
    randn: Make,
    random_labels: Make,
    monkeypatch: pytest.MonkeyPatch,
    block_values: int,
    grid_hw: tuple[int, int],
) -> None:
    """Whatever the block: one row, some rows, all of them; maps that are enlarged, kept, and made smaller."""
    monkeypatch.setattr(upsampled_module, "BLOCK_VALUES", block_values)
    logits, labels = randn(2, 4, *grid_hw).requires_grad_(), random_labels(4, 2, 17, 40)
    found, expected = supervised(logits, labels), composed(logits, labels)
    assert found.item() == pytest.approx(expected.item(), abs=1e-12)
    gradients = (torch.autograd.grad(3 * loss, logits)[0] for loss in (found, expected))
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def test_channels_last_bf16_logits_under_autocast(randn: Make, random_labels: Make) -> None:
    logits = randn(2, 3, 4, 4).bfloat16().to(memory_format=torch.channels_last).requires_grad_()
    labels = random_labels(3, 2, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = supervised(logits, labels)
    loss.backward()
    widened = logits.detach().double().requires_grad_()
    expected = composed(widened, labels)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(logits.grad.double(), widened.grad, rtol=1e-2, atol=1e-4)
