import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stages.losses.channel_wise import channel_wise

Make = Callable[..., Tensor]


def brute_force(student_NChw: Tensor, teacher_NChw: Tensor, temperature: float) -> float:
    n, c = student_NChw.shape[:2]
    total = 0.0
    for i in range(n):
        for k in range(c):
            s = [math.exp(v / temperature) for v in student_NChw[i, k].flatten().tolist()]
            t = [math.exp(v / temperature) for v in teacher_NChw[i, k].flatten().tolist()]
            for a, b in zip(t, s, strict=True):
                total += a / sum(t) * math.log((a / sum(t)) / (b / sum(s)))
    return total * temperature**2 / (n * c)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_equals_the_formula(randn: Make, temperature: float) -> None:
    student, teacher = randn(2, 3, 4, 5), randn(2, 3, 4, 5)
    expected = brute_force(student, teacher, temperature)
    assert channel_wise(student, teacher, temperature).item() == pytest.approx(expected, abs=1e-9)


def test_gradient(randn: Make) -> None:
    teacher = randn(2, 3, 2, 3)
    assert torch.autograd.gradcheck(lambda x: channel_wise(x, teacher), randn(2, 3, 2, 3).requires_grad_())


def test_a_constant_added_to_a_channel_changes_nothing(randn: Make) -> None:
    student, teacher = randn(2, 3, 4, 5), randn(2, 3, 4, 5)
    shifted = student + 100 * randn(2, 3, 1, 1)
    assert channel_wise(shifted, teacher).item() == pytest.approx(channel_wise(student, teacher).item(), abs=1e-9)


def test_a_map_equal_to_the_teachers_costs_nothing(randn: Make) -> None:
    teacher = randn(2, 3, 4, 5)
    assert channel_wise(teacher + 7, teacher).item() == pytest.approx(0, abs=1e-9)
    assert channel_wise(2 * teacher, teacher).item() > 1e-3
