import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stages.losses.pixel_wise import pixel_wise

Make = Callable[..., Tensor]


def softmax(scores: list[float]) -> list[float]:
    powers = [math.exp(s) for s in scores]
    return [p / sum(powers) for p in powers]


def summed(student_NChw: Tensor, teacher_NChw: Tensor, temperature: float) -> float:
    """Soft cross-entropy added up over all cells of all images."""
    n, _, h, w = student_NChw.shape
    total = 0.0
    for i in range(n):
        for y in range(h):
            for x in range(w):
                p = softmax((teacher_NChw[i, :, y, x] / temperature).tolist())
                q = softmax((student_NChw[i, :, y, x] / temperature).tolist())
                total -= sum(a * math.log(b) for a, b in zip(p, q, strict=True))
    return total


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_equals_the_formula(randn: Make, temperature: float) -> None:
    student, teacher = randn(3, 4, 2, 5), randn(3, 4, 2, 5)
    total = summed(student, teacher, temperature) * temperature**2
    mean = pixel_wise(student, teacher, "mean", temperature)
    published = pixel_wise(student, teacher, "published", temperature)
    assert mean.item() == pytest.approx(total / (3 * 2 * 5), abs=1e-9)
    assert published.item() == pytest.approx(total / (2 * 5), abs=1e-9)


def test_published_weight_ten_is_eighty_in_mean_at_batch_eight(randn: Make) -> None:
    student, teacher = randn(8, 4, 2, 2), randn(8, 4, 2, 2)
    published = 10 * pixel_wise(student, teacher, "published")
    assert published.item() == pytest.approx(80 * pixel_wise(student, teacher, "mean").item())


@pytest.mark.parametrize("reduction", ["mean", "published"])
def test_gradient(randn: Make, reduction: str) -> None:
    teacher = randn(2, 3, 2, 2)
    assert torch.autograd.gradcheck(
        lambda x: pixel_wise(x, teacher, reduction, 2.0), randn(2, 3, 2, 2).requires_grad_()
    )
