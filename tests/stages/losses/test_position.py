import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stages.losses.position import position

Make = Callable[..., Tensor]


def unit(vector: list[float]) -> list[float]:
    return [v / math.hypot(*vector) for v in vector]


def rows(mask_hw: Tensor) -> list[list[float]]:
    return mask_hw.tolist()


def columns(mask_hw: Tensor) -> list[list[float]]:
    return mask_hw.T.tolist()


def distances(student: list[list[float]], teacher: list[list[float]]) -> list[float]:
    return [math.dist(unit(s), unit(t)) for s, t in zip(student, teacher, strict=True)]


def brute_force(student: Tensor, teacher: Tensor, reduction: str) -> float:
    total = 0.0
    for masks_s, masks_t in zip(student, teacher, strict=True):
        hor = distances(rows(masks_s[0]), rows(masks_t[0]))
        ver = distances(columns(masks_s[1]), columns(masks_t[1]))
        if reduction == "paper":
            total += 0.5 * sum(hor) + 0.5 * sum(ver)
        else:
            total += 0.5 * sum(hor) / len(hor) + 0.5 * sum(ver) / len(ver)
    return total / len(student)


def masks(randn: Make, *shape: int) -> Tensor:
    return torch.sigmoid(randn(*shape))


@pytest.mark.parametrize("reduction", ["paper", "mean"])
def test_equals_the_formula(randn: Make, reduction: str) -> None:
    student, teacher = masks(randn, 3, 2, 4, 6), masks(randn, 3, 2, 4, 6)
    expected = brute_force(student, teacher, reduction)
    assert position(student, teacher, reduction).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("reduction", ["paper", "mean"])
def test_gradient(randn: Make, reduction: str) -> None:
    teacher = masks(randn, 2, 2, 3, 4)
    student = masks(randn, 2, 2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: position(x, teacher, reduction), student)


def test_columns_of_hor_would_say_nothing() -> None:
    """Eq. 5 read as printed cannot see a mask whose columns are constant but wrong; rows can."""
    ramp_w, ramp_h = torch.linspace(0.05, 0.95, 9), torch.linspace(0.05, 0.95, 7)
    teacher = torch.stack([ramp_w.expand(7, 9), ramp_h[:, None].expand(7, 9)])[None].double()
    student = teacher**4
    as_printed = sum(distances(columns(student[0, 0]), columns(teacher[0, 0])))
    as_printed += sum(distances(rows(student[0, 1]), rows(teacher[0, 1])))
    assert as_printed < 1e-5
    assert position(student, teacher, "paper").item() > 1


@pytest.mark.parametrize("reduction", ["paper", "mean"])
def test_equal_masks_and_masks_of_zeros_have_a_finite_gradient(randn: Make, reduction: str) -> None:
    for start in (masks(randn, 1, 2, 3, 4), torch.zeros(1, 2, 3, 4, dtype=torch.float64)):
        student = start.clone().requires_grad_()
        loss = position(student, start, reduction)
        loss.backward()
        assert loss.item() == 0
        assert student.grad is not None and not student.grad.any()
