import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stages.losses.pair_wise import pair_wise, similarity

Make = Callable[..., Tensor]
Nodes = list[list[float]]


def nodes_of(map_Chw: Tensor) -> Nodes:
    """Maximum of each channel over blocks of h//2 x w//2 cells, incomplete blocks at the far edges included."""
    _, h, w = map_Chw.shape
    return [
        [float(channel[top : top + h // 2, left : left + w // 2].max()) for channel in map_Chw]
        for top in range(0, h, h // 2)
        for left in range(0, w, w // 2)
    ]


def norms_of(nodes: Nodes) -> list[float]:
    return [math.sqrt(sum(v * v for v in node)) for node in nodes]


def gram(nodes: Nodes, norms: list[float]) -> Nodes:
    units = [[v / (norm + 1e-8) for v in node] for node, norm in zip(nodes, norms, strict=True)]
    return [[sum(a * b for a, b in zip(p, q, strict=True)) for q in units] for p in units]


def brute_force(student: Tensor, teacher: Tensor, student_norms: list[list[float]]) -> float:
    """The formula, with the student's node norms given from outside."""
    total = 0.0
    for student_Chw, teacher_Chw, norms in zip(student, teacher, student_norms, strict=True):
        nodes_t = nodes_of(teacher_Chw)
        gram_s, gram_t = gram(nodes_of(student_Chw), norms), gram(nodes_t, norms_of(nodes_t))
        pairs = [(a - b) ** 2 for p, q in zip(gram_s, gram_t, strict=True) for a, b in zip(p, q, strict=True)]
        total += sum(pairs) / len(nodes_t) ** 2
    return total / len(student)


def test_value_and_gradient_equal_the_formula_with_the_norm_held_constant(randn: Make) -> None:
    student, teacher = randn(2, 3, 5, 5).requires_grad_(), randn(2, 4, 5, 5)
    norms = [norms_of(nodes_of(image.detach())) for image in student]
    loss = pair_wise(student, teacher)
    loss.backward()
    assert loss.item() == pytest.approx(brute_force(student.detach(), teacher, norms), abs=1e-9)
    assert student.grad is not None
    step = 1e-5
    for index in range(student.numel()):
        moved = torch.zeros(student.numel(), dtype=torch.float64)
        moved[index] = step
        moved = moved.view_as(student)
        up = brute_force(student.detach() + moved, teacher, norms)
        down = brute_force(student.detach() - moved, teacher, norms)
        assert student.grad.flatten()[index].item() == pytest.approx((up - down) / (2 * step), abs=1e-8)


@pytest.mark.parametrize(("grid_hw", "nodes"), [((65, 65), 9), ((64, 64), 4), ((65, 128), 6), ((1, 4), 2)])
def test_nodes_of_a_grid(randn: Make, grid_hw: tuple[int, int], nodes: int) -> None:
    assert similarity(randn(1, 2, *grid_hw)).shape == (1, nodes, nodes)


def test_the_scale_of_the_features_does_not_count(randn: Make) -> None:
    student, teacher = randn(2, 3, 5, 5), randn(2, 3, 5, 5)
    assert pair_wise(50 * student, teacher).item() == pytest.approx(pair_wise(student, teacher).item(), abs=1e-6)
