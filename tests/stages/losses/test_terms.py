from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.errors import TrainingError
from stages.losses.channel_wise import channel_wise
from stages.losses.inter_class import inter_class
from stages.losses.maps import resize
from stages.losses.methods import KINDS, TermConfig, resolve
from stages.losses.pair_wise import pair_wise
from stages.losses.pixel_wise import pixel_wise
from stages.losses.position import position
from stages.losses.supervised import supervised
from stages.losses.terms import DistillationTerms
from stages.nets.position import PositionNet

Make = Callable[..., Tensor]
Maps = dict[str, Tensor]
STUDENT = {"logits": 4, "backbone": 6, "pyramid": 5}
TEACHER = {"logits": 4, "backbone": 12, "pyramid": 8}


def maps(randn: Make, widths: Mapping[str, int], grid_hw: tuple[int, int] = (9, 9)) -> Maps:
    return {tap: randn(2, width, *grid_hw).float() for tap, width in widths.items()}


def build(configs: Mapping[str, TermConfig], **changes: Any) -> DistillationTerms:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {
        "student_channels": STUDENT,
        "teacher_channels": TEACHER,
        "position_net": PositionNet(TEACHER["pyramid"], hidden=3),
    }
    return DistillationTerms(configs, **(arguments | changes))


def only(name: str, **fields: Any) -> dict[str, TermConfig]:
    """One distillation term beside cross-entropy."""
    terms = resolve("none", {name: {"weight": 1.0, **fields}})
    del terms["auxiliary"]
    return terms


@pytest.fixture
def batch(randn: Make, random_labels: Make) -> tuple[Maps, Maps, Tensor]:
    student = maps(randn, {**STUDENT, "aux": 4})
    return student, maps(randn, TEACHER), random_labels(4, 2, 33, 33)


def test_each_term_is_its_function_of_the_taps(batch: tuple[Maps, Maps, Tensor]) -> None:
    student, teacher, labels = batch
    terms = build(resolve("idd", {"pixel_wise": {"temperature": 2.0}}))
    read, adapt = terms.position_net, terms.adapters["position"]
    assert read is not None
    expected = {
        "supervised": supervised(student["logits"], labels),
        "auxiliary": supervised(student["aux"], labels),
        "pixel_wise": pixel_wise(student["logits"], teacher["logits"], "mean", 2.0),
        "pair_wise": pair_wise(student["pyramid"], teacher["pyramid"]),
        "channel_wise": channel_wise(student["logits"], teacher["logits"], 4.0),
        "inter_class": inter_class(student["pyramid"], teacher["pyramid"], labels, 4, "relative"),
        "position": position(read(adapt(student["pyramid"])), read(teacher["pyramid"]), "mean"),
    }
    values = terms(student, teacher, labels)
    torch.testing.assert_close(values, expected)
    weights = {n: t.weight for n, t in terms.configs.items()}
    total = sum(weights[name] * value.item() for name, value in expected.items())
    assert terms.total(values).item() == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "reduction"),
    [(n, r) for n, kind in KINDS.items() for r in kind.reductions if len(kind.reductions) > 1],
)
def test_every_reduction_is_another_value(name: str, reduction: str, batch: tuple[Maps, Maps, Tensor]) -> None:
    others = [r for r in KINDS[name].reductions if r != reduction]
    value = build(only(name, reduction=reduction))(*batch)[name]
    assert value.isfinite()
    for other in others:
        assert build(only(name, reduction=other))(*batch)[name].item() != pytest.approx(value.item(), rel=1e-3)


def test_label_grid_reaches_the_term(batch: tuple[Maps, Maps, Tensor]) -> None:
    student, teacher, labels = batch
    value = build(only("inter_class", label_grid="aligned"))(*batch)["inter_class"]
    maps_of_tap = student["pyramid"], teacher["pyramid"]
    assert value.item() == pytest.approx(inter_class(*maps_of_tap, labels, 4, "relative", "aligned").item())
    assert value.item() != pytest.approx(inter_class(*maps_of_tap, labels, 4, "relative").item(), rel=1e-3)


def test_the_adapter_learns_and_the_position_network_does_not(batch: tuple[Maps, Maps, Tensor]) -> None:
    student, teacher, labels = batch
    student = {tap: value.requires_grad_() for tap, value in student.items()}
    teacher = {tap: value.requires_grad_() for tap, value in teacher.items()}
    terms = build(resolve("idd", {}))
    terms.total(terms(student, teacher, labels)).backward()
    assert [n for n, p in terms.named_parameters() if p.requires_grad] == ["adapters.position.weight"]
    assert terms.adapters["position"].weight.grad.any()
    assert all(p.grad is None for p in terms.position_net.parameters())
    assert all(value.grad is None for value in teacher.values())
    assert all(student[tap].grad.isfinite().all() for tap in ("logits", "pyramid", "aux"))


def test_position_goes_through_its_adapter_at_equal_widths_too() -> None:
    terms = build(only("position"), student_channels=TEACHER)
    assert terms.adapters["position"].weight.shape == (8, 8, 1, 1)


def test_features_of_other_widths_are_compared_through_an_adapter(batch: tuple[Maps, Maps, Tensor]) -> None:
    terms = build(only("channel_wise", tap="backbone"))
    student, teacher, labels = batch
    adapted = terms.adapters["channel_wise"](student["backbone"])
    value = terms(student, teacher, labels)["channel_wise"]
    assert value.item() == pytest.approx(channel_wise(adapted, teacher["backbone"], 4.0).item())


def test_the_position_network_moves_with_the_terms() -> None:
    terms = build(only("position")).double()
    assert {p.dtype for p in terms.position_net.parameters()} == {torch.float64}
    assert build(only("pair_wise")).position_net is None


def test_supervised_terms_need_no_teacher(batch: tuple[Maps, Maps, Tensor]) -> None:
    student, _, labels = batch
    terms = build(resolve("none", {}), teacher_channels={}, position_net=None)
    values = terms(student, None, labels)
    assert set(values) == {"supervised", "auxiliary"}
    assert terms.total(values).item() == pytest.approx(
        supervised(student["logits"], labels).item() + 0.4 * supervised(student["aux"], labels).item(), rel=1e-6
    )


def test_a_student_without_an_auxiliary_head(batch: tuple[Maps, Maps, Tensor]) -> None:
    student, teacher, labels = batch
    del student["aux"]
    terms = build(resolve("idd", {}), student_has_aux=False)
    assert "auxiliary" not in terms(student, teacher, labels)
    assert "term auxiliary: left out, the student has no auxiliary head" in list(terms.describe())


def test_describe_gives_weight_reduction_and_tap() -> None:
    lines = list(build(resolve("idd", {"position": {"weight": 2.5}})).describe())
    assert "term position: weight 2.5, reduction mean, tap pyramid, through a 1x1 adapter" in lines
    assert "term channel_wise: weight 0.5, reduction mean, tap logits, temperature 4.0" in lines
    assert "term inter_class: weight 1, reduction relative, tap pyramid, label_grid public" in lines
    assert len(lines) == len(KINDS)


def test_grids_that_differ_by_rounding_are_resized(randn: Make, random_labels: Make) -> None:
    student, teacher = maps(randn, STUDENT, (64, 128)), maps(randn, TEACHER, (65, 129))
    labels = random_labels(4, 2, 128, 256)
    value = build(only("pair_wise"))(student, teacher, labels)["pair_wise"]
    expected = pair_wise(resize(student["pyramid"], (65, 129)), teacher["pyramid"])
    assert value.item() == pytest.approx(expected.item())


def test_logits_of_any_grid_are_resized(randn: Make, random_labels: Make) -> None:
    student, teacher = maps(randn, STUDENT, (32, 32)), maps(randn, TEACHER, (5, 5))
    value = build(only("pixel_wise"))(student, teacher, random_labels(4, 2, 32, 32))["pixel_wise"]
    assert value.item() == pytest.approx(pixel_wise(resize(student["logits"], (5, 5)), teacher["logits"]).item())


def test_features_of_unlike_grids_are_an_error(randn: Make, random_labels: Make) -> None:
    student, teacher = maps(randn, STUDENT, (17, 17)), maps(randn, TEACHER, (9, 9))
    with pytest.raises(TrainingError, match="pair_wise: the student's map is 17x17, the teacher's 9x9"):
        build(only("pair_wise"))(student, teacher, random_labels(4, 2, 33, 33))


@pytest.mark.parametrize(
    ("configs", "changes", "message"),
    [
        (only("pair_wise", tap="pyramids"), {}, "the student has no tap 'pyramids': did you mean 'pyramid'"),
        (only("pair_wise", tap="backbone"), {"teacher_channels": {"logits": 4}}, "the teacher has no tap 'backbone'"),
        (only("channel_wise"), {"teacher_channels": {"logits": 19}}, "have 4 classes, the teacher's 19"),
        (only("position"), {"position_net": None}, "run stage position first"),
        (only("position", tap="backbone"), {}, "reads 8 channels, the teacher's tap 'backbone' has 12"),
    ],
)
def test_mistakes(configs: dict[str, TermConfig], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message) as caught:
        build(configs, **changes)
    assert "\n" not in str(caught.value)
