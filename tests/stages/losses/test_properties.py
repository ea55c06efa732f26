"""What holds for each distillation term alike."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from stages.losses.channel_wise import channel_wise
from stages.losses.inter_class import inter_class
from stages.losses.pair_wise import pair_wise
from stages.losses.pixel_wise import pixel_wise
from stages.losses.position import position
from stages.losses.supervised import supervised

Make = Callable[..., Tensor]
CLASSES = 4


def on_masks(student: Tensor, teacher: Tensor, labels: Tensor, reduction: str) -> Tensor:
    return position(student[:, :2].abs(), teacher[:, :2].abs(), reduction)


TERMS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "supervised": lambda s, t, labels: supervised(s, labels),
    "pixel_wise mean": lambda s, t, labels: pixel_wise(s, t, "mean"),
    "pixel_wise published": lambda s, t, labels: pixel_wise(s, t, "published"),
    "pair_wise": lambda s, t, labels: pair_wise(s, t),
    "channel_wise": lambda s, t, labels: channel_wise(s, t),
    "inter_class relative": lambda s, t, labels: inter_class(s, t, labels, CLASSES, "relative"),
    "inter_class mean": lambda s, t, labels: inter_class(s, t, labels, CLASSES, "mean"),
    "inter_class paper": lambda s, t, labels: inter_class(s, t, labels, CLASSES, "paper"),
    "position mean": partial(on_masks, reduction="mean"),
    "position paper": partial(on_masks, reduction="paper"),
}
each_term = pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)


@each_term
def test_the_order_of_the_images_does_not_count(term, randn: Make, random_labels: Make) -> None:
    student, teacher, labels = randn(4, 5, 5, 6), randn(4, 5, 5, 6), random_labels(CLASSES, 4, 9, 11)
    order = [2, 0, 3, 1]
    permuted = term(student[order], teacher[order], labels[order])
    assert permuted.item() == pytest.approx(term(student, teacher, labels).item(), abs=1e-12)


@each_term
def test_a_student_equal_to_its_teacher_has_a_finite_gradient(term, randn: Make, random_labels: Make) -> None:
    student = randn(2, 5, 5, 6).requires_grad_()
    term(student, student.detach().clone(), random_labels(CLASSES, 2, 9, 11)).backward()
    assert student.grad is not None and student.grad.isfinite().all()


@each_term
def test_nothing_flows_into_the_teacher(term, randn: Make, random_labels: Make) -> None:
    student, teacher = randn(2, 5, 5, 6).requires_grad_(), randn(2, 5, 5, 6).requires_grad_()
    term(student, teacher, random_labels(CLASSES, 2, 9, 11)).backward()
    assert student.grad is not None and student.grad.any()
    assert teacher.grad is None


@each_term
def test_bf16_autocast_computes_in_fp32(term, randn: Make, random_labels: Make) -> None:
    student = (20 * randn(2, 5, 9, 9)).bfloat16().requires_grad_()
    teacher, labels = (20 * randn(2, 5, 9, 9)).bfloat16(), random_labels(CLASSES, 2, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = term(student, teacher, labels)
    loss.backward()
    assert loss.dtype == torch.float32
    widened = term(student.detach().float(), teacher.float(), labels)
    assert loss.item() == pytest.approx(widened.item(), rel=1e-5)
    assert student.grad is not None and student.grad.isfinite().all()
