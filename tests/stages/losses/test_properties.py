"""What holds for each term alike."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from stages.losses.channel_wise import channel_wise
from stages.losses.ifvd import ifvd
from stages.losses.inter_class import inter_class
from stages.losses.kd import kd
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
    "kd": lambda s, t, labels: kd(s, t, 2.0),
    "pair_wise": lambda s, t, labels: pair_wise(s, t),
    "channel_wise": lambda s, t, labels: channel_wise(s, t),
    "inter_class relative": lambda s, t, labels: inter_class(s, t, labels, CLASSES, "relative"),
    "inter_class mean": lambda s, t, labels: inter_class(s, t, labels, CLASSES, "mean"),
    "inter_class paper": lambda s, t, labels: inter_class(s, t, labels, CLASSES, "paper"),
    "ifvd": lambda s, t, labels: ifvd(s, t, labels, CLASSES),
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


@each_term
def test_large_features_do_not_overflow_in_half_precision(term, randn: Make, random_labels: Make) -> None:
    """Squares of these values, summed, are beyond what fp16 holds."""
    student = (2000 * randn(2, 5, 9, 9)).half().requires_grad_()
    teacher, labels = (2000 * randn(2, 5, 9, 9)).half(), random_labels(CLASSES, 2, 16, 16)
    with torch.autocast("cpu", dtype=torch.float16):
        loss = term(student, teacher, labels)
    assert loss.isfinite()
    loss.backward()
    assert student.grad is not None and not student.grad.isnan().any()


@each_term
def test_a_batch_without_labels_costs_a_finite_amount(term, randn: Make) -> None:
    student = randn(2, 5, 5, 6).requires_grad_()
    loss = term(student, randn(2, 5, 5, 6), torch.full((2, 9, 11), 255, dtype=torch.uint8))
    loss.backward()
    assert loss.isfinite()
    assert student.grad is not None and student.grad.isfinite().all()


@pytest.mark.parametrize("name", ["supervised", "ifvd", *(n for n in TERMS if n.startswith("inter_class"))])
def test_ignored_cells_do_not_count(name: str, randn: Make, random_labels: Make) -> None:
    student, teacher, labels = randn(2, 5, 5, 6), randn(2, 5, 5, 6), random_labels(CLASSES, 2, 5, 6)
    ignored_N1hw = (labels == 255)[:, None]
    assert ignored_N1hw.any()
    moved = torch.where(ignored_N1hw, randn(2, 5, 5, 6), student)
    value = TERMS[name](student, teacher, labels).item()
    assert TERMS[name](moved, teacher, labels).item() == pytest.approx(value, abs=1e-12)
