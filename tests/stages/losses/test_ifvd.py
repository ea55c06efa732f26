import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stages.losses.ifvd import ifvd

Make = Callable[..., Tensor]


def similarities(features_Dhw: Tensor, labels_hw: Tensor, classes: int) -> list[float]:
    """Cosine of each cell's feature to the mean feature of its class; 0 for a cell without a class."""
    d, h, w = features_Dhw.shape
    cells = {(y, x): features_Dhw[:, y, x].tolist() for y in range(h) for x in range(w)}
    found = []
    for (y, x), feature in cells.items():
        label = labels_hw[y, x].item()
        if label >= classes:
            found.append(0.0)
            continue
        members = [f for place, f in cells.items() if labels_hw[place].item() == label]
        token = [sum(member[i] for member in members) / len(members) for i in range(d)]
        product = sum(a * b for a, b in zip(feature, token, strict=True))
        found.append(product / (math.hypot(*feature) * math.hypot(*token)))
    return found


def brute_force(student: Tensor, teacher: Tensor, labels: Tensor, classes: int) -> float:
    squares = []
    for image_s, image_t, labels_hw in zip(student, teacher, labels, strict=True):
        if len({label for label in labels_hw.flatten().tolist() if label < classes}) < 2:
            squares += [0.0] * labels_hw.numel()
            continue
        both = (similarities(image, labels_hw, classes) for image in (image_s, image_t))
        squares += [(s - t) ** 2 for s, t in zip(*both, strict=True)]
    return sum(squares) / len(squares)


def test_equals_the_formula(randn: Make, random_labels: Make) -> None:
    student, teacher, labels = randn(3, 4, 5, 6), 3 * randn(3, 7, 5, 6), random_labels(5, 3, 5, 6)
    labels[1][labels[1] >= 2] = 255
    labels[2] = 4
    assert ifvd(student, teacher, labels, 5).item() == pytest.approx(brute_force(student, teacher, labels, 5), abs=1e-9)


def test_hand_computed() -> None:
    """Two cells of class 0, at right angles in the teacher (cosine to their mean 1/sqrt 2), equal in the student, and
    one of class 1, which is its own mean in both."""
    labels = torch.tensor([[[0, 0, 1]]], dtype=torch.uint8)
    teacher = torch.tensor([[[[1.0, 0.0, 2.0]], [[0.0, 1.0, 2.0]]]], dtype=torch.float64)
    student = torch.tensor([[[[5.0, 5.0, 3.0]]]], dtype=torch.float64)
    assert ifvd(student, teacher, labels, 2).item() == pytest.approx((1 - math.sqrt(0.5)) ** 2 * 2 / 3, abs=1e-12)


def test_an_image_of_one_class_counts_as_zero_in_the_mean(randn: Make, random_labels: Make) -> None:
    student, teacher, labels = randn(2, 3, 4, 4), randn(2, 3, 4, 4), random_labels(3, 2, 4, 4)
    labels[1] = 1
    labels[1, 0] = 255
    first = ifvd(student[:1], teacher[:1], labels[:1], 3)
    assert ifvd(student, teacher, labels, 3).item() == pytest.approx(first.item() / 2, abs=1e-12)


@pytest.mark.parametrize("label_grid", ["public", "aligned"])
def test_labels_of_a_finer_grid(randn: Make, random_labels: Make, label_grid: str) -> None:
    student, teacher, labels = randn(2, 3, 4, 5), randn(2, 3, 4, 5), random_labels(3, 2, 14, 18)
    at_public = labels[:, [y * 14 // 4 for y in range(4)]][:, :, [x * 18 // 5 for x in range(5)]]
    at_aligned = labels[:, [round(y * 13 / 3) for y in range(4)]][:, :, [round(x * 17 / 4) for x in range(5)]]
    picked = at_public if label_grid == "public" else at_aligned
    value = ifvd(student, teacher, labels, 3, label_grid)
    assert value.item() == pytest.approx(brute_force(student, teacher, picked, 3), abs=1e-9)


def test_gradient(randn: Make, random_labels: Make) -> None:
    teacher, labels = randn(2, 3, 4, 4), random_labels(3, 2, 4, 4)
    assert torch.autograd.gradcheck(lambda x: ifvd(x, teacher, labels, 4), randn(2, 2, 4, 4).requires_grad_())


@pytest.mark.parametrize("label", [255, 1])
def test_no_or_one_class_gives_zero_with_a_live_graph(randn: Make, label: int) -> None:
    student = randn(2, 3, 4, 4).requires_grad_()
    loss = ifvd(student, randn(2, 3, 4, 4), torch.full((2, 8, 8), label, dtype=torch.uint8), 3)
    loss.backward()
    assert loss.item() == 0
    assert student.grad is not None and not student.grad.any()


def test_features_of_zero_have_a_finite_gradient(randn: Make, random_labels: Make) -> None:
    student = torch.zeros(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    ifvd(student, randn(2, 3, 4, 4), random_labels(3, 2, 4, 4), 3).backward()
    assert student.grad is not None and student.grad.isfinite().all()
