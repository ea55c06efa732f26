import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stages.losses.inter_class import inter_class

Make = Callable[..., Tensor]
REDUCTIONS = ["paper", "mean", "relative"]


def tokens_of(features_Dhw: Tensor, labels_hw: Tensor, classes: int) -> list[list[float]]:
    """Tokens of the classes that occur, in order of their ids; labels lie on the features' grid."""
    d, h, w = features_Dhw.shape
    tokens = []
    for k in range(classes):
        cells = [(y, x) for y in range(h) for x in range(w) if labels_hw[y, x].item() == k]
        if cells:
            tokens.append([sum(features_Dhw[i, y, x].item() for y, x in cells) / len(cells) for i in range(d)])
    return tokens


def brute_force(student: Tensor, teacher: Tensor, labels: Tensor, classes: int, reduction: str) -> float:
    total = 0.0
    for image_s, image_t, labels_hw in zip(student, teacher, labels, strict=True):
        tokens_s, tokens_t = (tokens_of(image, labels_hw, classes) for image in (image_s, image_t))
        pairs = [(i, j) for i in range(len(tokens_s)) for j in range(len(tokens_s)) if i != j]
        if not pairs:
            continue
        edges_s = [math.dist(tokens_s[i], tokens_s[j]) for i, j in pairs]
        edges_t = [math.dist(tokens_t[i], tokens_t[j]) for i, j in pairs]
        if reduction == "relative":
            mean_s, mean_t = sum(edges_s) / len(pairs), sum(edges_t) / len(pairs)
            edges_s, edges_t = [e / mean_s for e in edges_s], [e / mean_t for e in edges_t]
        squares = sum((t - s) ** 2 for s, t in zip(edges_s, edges_t, strict=True))
        total += squares / 2 if reduction == "paper" else squares / len(pairs)
    return total / len(student)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_equals_the_formula(randn: Make, random_labels: Make, reduction: str) -> None:
    student, teacher, labels = randn(3, 4, 6, 5), 3 * randn(3, 7, 6, 5), random_labels(5, 3, 6, 5)
    labels[1][labels[1] >= 3] = 255
    labels[2] = 4
    expected = brute_force(student, teacher, labels, 6, reduction)
    assert inter_class(student, teacher, labels, 6, reduction).item() == pytest.approx(expected, abs=1e-9)


def test_hand_computed() -> None:
    """Two classes, 5 apart in the teacher (3, 4) and 2 apart in the student."""
    labels = torch.tensor([[[0, 1]]], dtype=torch.uint8)
    teacher = torch.tensor([[[[1.0, 4.0]], [[1.0, 5.0]]]])
    student = torch.tensor([[[[7.0, 9.0]]]])
    assert inter_class(student, teacher, labels, 2, "paper").item() == pytest.approx(9)
    assert inter_class(student, teacher, labels, 2, "mean").item() == pytest.approx(9)
    assert inter_class(student, teacher, labels, 2, "relative").item() == pytest.approx(0)


@pytest.mark.parametrize("label_grid", ["public", "aligned"])
def test_labels_of_a_finer_grid(randn: Make, random_labels: Make, label_grid: str) -> None:
    student, teacher, labels = randn(2, 3, 4, 5), randn(2, 3, 4, 5), random_labels(3, 2, 14, 18)
    at_public = labels[:, [y * 14 // 4 for y in range(4)]][:, :, [x * 18 // 5 for x in range(5)]]
    at_aligned = labels[:, [round(y * 13 / 3) for y in range(4)]][:, :, [round(x * 17 / 4) for x in range(5)]]
    picked = at_public if label_grid == "public" else at_aligned
    assert not torch.equal(at_public, at_aligned)
    value = inter_class(student, teacher, labels, 3, "mean", label_grid)
    assert value.item() == pytest.approx(brute_force(student, teacher, picked, 3, "mean"), abs=1e-9)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradient(randn: Make, random_labels: Make, reduction: str) -> None:
    teacher, labels = randn(2, 3, 4, 4), random_labels(3, 2, 4, 4)
    assert torch.autograd.gradcheck(
        lambda x: inter_class(x, teacher, labels, 4, reduction), randn(2, 2, 4, 4).requires_grad_()
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("label", [1, 255])
def test_images_of_fewer_than_two_classes(randn: Make, reduction: str, label: int) -> None:
    student = randn(2, 3, 4, 4).requires_grad_()
    loss = inter_class(student, randn(2, 3, 4, 4), torch.full((2, 4, 4), label, dtype=torch.uint8), 3, reduction)
    loss.backward()
    assert loss.item() == 0
    assert student.grad is not None and not student.grad.any()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_an_image_of_one_class_counts_as_zero_in_the_mean(randn: Make, random_labels: Make, reduction: str) -> None:
    student, teacher, labels = randn(2, 3, 4, 4), randn(2, 3, 4, 4), random_labels(3, 2, 4, 4)
    labels[1] = 0
    alone = inter_class(student[:1], teacher[:1], labels[:1], 3, reduction)
    assert inter_class(student, teacher, labels, 3, reduction).item() == pytest.approx(alone.item() / 2, abs=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_tokens_that_coincide_have_a_finite_gradient(randn: Make, random_labels: Make, reduction: str) -> None:
    student = torch.ones(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    loss = inter_class(student, randn(2, 3, 4, 4), random_labels(3, 2, 4, 4), 3, reduction)
    loss.backward()
    assert loss.item() > 0
    assert student.grad is not None and student.grad.isfinite().all()


def test_close_tokens_of_many_classes_keep_their_digits(randn: Make) -> None:
    labels = torch.arange(36, dtype=torch.uint8).view(1, 6, 6)
    student, teacher = (300 + 0.1 * randn(1, 8, 6, 6)).float(), (300 + 0.1 * randn(1, 8, 6, 6)).float()
    exact = brute_force(student.double(), teacher.double(), labels, 36, "mean")
    assert inter_class(student, teacher, labels, 36, "mean").item() == pytest.approx(exact, rel=1e-3)
