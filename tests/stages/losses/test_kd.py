import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stages.losses.kd import kd
from stages.losses.pixel_wise import pixel_wise

Make = Callable[..., Tensor]


def softmax(scores: list[float]) -> list[float]:
    powers = [math.exp(s) for s in scores]
    return [p / sum(powers) for p in powers]


def brute_force(student_NChw: Tensor, teacher_NChw: Tensor, temperature: float) -> float:
    n, _, h, w = student_NChw.shape
    total = 0.0
    for i in range(n):
        for y in range(h):
            for x in range(w):
                p = softmax((teacher_NChw[i, :, y, x] / temperature).tolist())
                q = softmax((student_NChw[i, :, y, x] / temperature).tolist())
                total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return total / (n * h * w) * temperature**2


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_equals_the_formula(randn: Make, temperature: float) -> None:
    student, teacher = randn(3, 4, 2, 5), randn(3, 4, 2, 5)
    assert kd(student, teacher, temperature).item() == pytest.approx(
        brute_force(student, teacher, temperature), abs=1e-9
    )


def test_gradient(randn: Make) -> None:
    teacher = randn(2, 3, 2, 2)
    assert torch.autograd.gradcheck(lambda x: kd(x, teacher, 3.0), randn(2, 3, 2, 2).requires_grad_())


def test_its_gradient_is_the_pixel_wise_terms(randn: Make) -> None:
    student, teacher = randn(2, 3, 2, 2).requires_grad_(), randn(2, 3, 2, 2)
    (of_kd,) = torch.autograd.grad(kd(student, teacher, 2.0), student)
    (of_pixel_wise,) = torch.autograd.grad(pixel_wise(student, teacher, "mean", 2.0), student)
    torch.testing.assert_close(of_kd, of_pixel_wise, rtol=0, atol=1e-12)


def test_a_student_equal_to_its_teacher_costs_nothing(randn: Make) -> None:
    teacher = randn(2, 3, 4, 5)
    assert kd(teacher + randn(2, 1, 4, 5), teacher, 2.0).item() == pytest.approx(0, abs=1e-12)
