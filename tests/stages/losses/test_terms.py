from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.errors import TrainingError
from stages.losses.channel_wise import channel_wise
from stages.losses.holistic import holistic
from stages.losses.ifvd import ifvd
from stages.losses.inter_class import inter_class
from stages.losses.kd import kd
from stages.losses.maps import resize
from stages.losses.methods import KINDS, METHODS, TermConfig, resolve
from stages.losses.pair_wise import pair_wise
from stages.losses.pixel_wise import pixel_wise
from stages.losses.position import position
from stages.losses.supervised import supervised
from stages.losses.terms import DistillationTerms
from stages.losses.watch import Watch
from stages.nets.position import PositionNet
from stages.nets.shapes import MapShape

Make = Callable[..., Tensor]
Maps = dict[str, Tensor]
STUDENT = {"logits": 4, "backbone": 6, "pyramid": 5}
TEACHER = {"logits": 4, "backbone": 12, "pyramid": 8}
GRID = (9, 9)


def shapes(widths: Mapping[str, int], grid_hw: tuple[int, int] = GRID) -> dict[str, MapShape]:
    return {tap: MapShape(width, *grid_hw) for tap, width in widths.items()}


def maps(randn: Make, widths: Mapping[str, int], grid_hw: tuple[int, int] = GRID) -> Maps:
    return {tap: randn(2, width, *grid_hw).float() for tap, width in widths.items()}


def build(configs: Mapping[str, TermConfig], **changes: Any) -> DistillationTerms:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {
        "student": shapes(STUDENT),
        "teacher": shapes(TEACHER),
        "position_net": PositionNet(TEACHER["pyramid"], hidden=3),
    }
    return DistillationTerms(configs, **(arguments | changes))


def only(name: str, **fields: Any) -> dict[str, TermConfig]:
    """One distillation term beside cross-entropy."""
    terms = resolve("none", {name: {"weight": 1.0, **fields}})
    del terms["auxiliary"]
    return terms


def weights(terms: DistillationTerms) -> dict[str, float]:
    return {name: term.weight for name, term in terms.configs.items()}


@pytest.fixture
def batch(randn: Make, random_labels: Make) -> tuple[Maps, Maps, Tensor]:
    student = maps(randn, {**STUDENT, "aux": 4})
    return student, maps(randn, TEACHER), random_labels(4, 2, 33, 33)


def test_each_term_is_its_function_of_the_taps(batch: tuple[Maps, Maps, Tensor]) -> None:
    student, teacher, labels = batch
    others = {"kd": {"weight": 1, "temperature": 2}, "ifvd": {"weight": 2}, "holistic": {"weight": 0.1}}
    terms = build(resolve("idd", {"pixel_wise": {"temperature": 2.0}, **others}))
    read, adapt = terms.bound["position"].value.net, terms.adapters["position"]
    critic = terms.critics["holistic"].eval()
    labelled = (student["pyramid"], teacher["pyramid"], labels, 4)
    expected = {
        "supervised": supervised(student["logits"], labels),
        "auxiliary": supervised(student["aux"], labels),
        "pixel_wise": pixel_wise(student["logits"], teacher["logits"], "mean", 2.0),
        "pair_wise": pair_wise(student["pyramid"], teacher["pyramid"]),
        "channel_wise": channel_wise(student["logits"], teacher["logits"], 4.0),
        "inter_class": inter_class(*labelled, "relative"),
        "position": position(read(adapt(student["pyramid"])), read(teacher["pyramid"]), "mean"),
        "kd": kd(student["logits"], teacher["logits"], 2.0),
        "ifvd": ifvd(*labelled),
        "holistic": holistic(critic.discriminator(resize(student["logits"], (65, 65)))),
    }
    assert set(expected) == set(KINDS)
    values = terms(student, teacher, labels)
    torch.testing.assert_close(values, expected)
    total = sum(weights(terms)[name] * value.item() for name, value in expected.items())
    assert terms.total(values, weights(terms)).item() == pytest.approx(total, rel=1e-6)


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
    terms.total(terms(student, teacher, labels), weights(terms)).backward()
    assert [n for n, p in terms.named_parameters() if p.requires_grad] == ["adapters.position.weight"]
    assert terms.adapters["position"].weight.grad.any()
    assert all(p.grad is None for p in terms.parts["position"].parameters())
    assert all(value.grad is None for value in teacher.values())
    assert all(student[tap].grad.isfinite().all() for tap in ("logits", "pyramid", "aux"))


def test_position_goes_through_its_adapter_at_equal_widths_too() -> None:
    terms = build(only("position"), student=shapes(TEACHER))
    assert terms.adapters["position"].weight.shape == (8, 8, 1, 1)


def test_logits_get_no_adapter() -> None:
    """Their channels are classes on both sides: an adapter could only hide what should be learnt."""
    terms = build(only("position", tap="logits"), position_net=PositionNet(TEACHER["logits"], hidden=3))
    assert not terms.adapters


def test_a_term_used_twice_has_two_values(batch: tuple[Maps, Maps, Tensor]) -> None:
    student, teacher, labels = batch
    second = {"channel_wise_features": {"kind": "channel_wise", "tap": "pyramid", "weight": 50.0}}
    terms = build(resolve("cwd", second))
    values = terms(student, teacher, labels)
    adapted = terms.adapters["channel_wise_features"](student["pyramid"])
    assert values["channel_wise"].item() == pytest.approx(channel_wise(student["logits"], teacher["logits"]).item())
    assert values["channel_wise_features"].item() == pytest.approx(channel_wise(adapted, teacher["pyramid"]).item())
    assert list(terms.adapters) == ["channel_wise_features"]


def test_what_learns_against_the_student_is_none_of_the_terms_parameters(batch: tuple[Maps, Maps, Tensor]) -> None:
    student, teacher, labels = batch
    terms = build(only("holistic"))
    assert not list(terms.parameters()) and not terms.state_dict()
    assert sum(p.numel() for p in terms.critics["holistic"].parameters()) > 3_000_000
    student["logits"].requires_grad_()
    terms(student, teacher, labels)
    ((seen_s, seen_t),) = terms.critics_read(student, teacher).values()
    assert torch.equal(seen_s, student["logits"]) and not seen_s.requires_grad and seen_t is teacher["logits"]


def test_features_of_other_widths_are_compared_through_an_adapter(batch: tuple[Maps, Maps, Tensor]) -> None:
    terms = build(only("channel_wise", tap="backbone"))
    student, teacher, labels = batch
    adapted = terms.adapters["channel_wise"](student["backbone"])
    value = terms(student, teacher, labels)["channel_wise"]
    assert value.item() == pytest.approx(channel_wise(adapted, teacher["backbone"], 4.0).item())


def test_the_position_network_moves_with_the_terms() -> None:
    terms = build(only("position")).double()
    assert {p.dtype for p in terms.parts["position"].parameters()} == {torch.float64}
    assert not any(p.requires_grad for p in terms.parts["position"].net.parameters())
    assert not build(only("pair_wise")).parts


def test_supervised_terms_need_no_teacher(batch: tuple[Maps, Maps, Tensor]) -> None:
    student, _, labels = batch
    terms = build(resolve("none", {}), teacher={}, position_net=None)
    values = terms(student, None, labels)
    assert set(values) == {"supervised", "auxiliary"}
    assert terms.total(values, weights(terms)).item() == pytest.approx(
        supervised(student["logits"], labels).item() + 0.4 * supervised(student["aux"], labels).item(), rel=1e-6
    )


def test_a_student_without_an_auxiliary_head(batch: tuple[Maps, Maps, Tensor]) -> None:
    student, teacher, labels = batch
    del student["aux"]
    terms = build(resolve("idd", {}), student_has_aux=False)
    assert "auxiliary" not in terms(student, teacher, labels)
    assert "term auxiliary: left out, the student has no auxiliary head" in list(terms.describe())


def test_describe_gives_weight_reduction_tap_and_all_that_is_set() -> None:
    features = {"kind": "channel_wise", "tap": "backbone", "weight": 50}
    changes = {"position": {"weight": 2.5, "ramp": (0.1, 0.5)}, "holistic": {"weight": 0.1}, "features": features}
    configs = resolve("idd", changes)
    lines = list(build(configs).describe())
    assert (
        "term position: 2.5 x mean, tap pyramid, weight rises from 10% to 50% of the iterations, "
        "student through a 1x1 adapter 5 -> 8"
    ) in lines
    assert "term channel_wise: 0.5 x mean, tap logits, temperature 4" in lines
    assert "term inter_class: 1 x relative, tap pyramid, label_grid public" in lines
    assert (
        "term holistic: 0.1 x mean, tap logits, discriminator_lr 0.0004, gradient_penalty 10, "
        "logits enlarged to 65x65 for the discriminator"
    ) in lines
    assert (
        "term features: 50 x mean, tap backbone, kind channel_wise, temperature 4, "
        "student through a 1x1 adapter 6 -> 12"
    ) in lines
    assert len(lines) == len(configs)


@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name]])
def test_every_method_computes(method: str, batch: tuple[Maps, Maps, Tensor]) -> None:
    terms = build(METHODS[method])
    assert terms.total(terms(*batch), weights(terms)).isfinite()


def test_a_watch_notes_maps_values_and_seconds(batch: tuple[Maps, Maps, Tensor]) -> None:
    terms = build(resolve("skd", {}))
    terms.watch = watch = Watch()
    values = terms(*batch)
    assert watch.values is values and watch.maps is batch[0]
    assert set(watch.seconds) == set(values) and min(watch.seconds.values()) > 0


def test_grids_that_differ_by_rounding_are_resized(randn: Make, random_labels: Make) -> None:
    """The paper's own pair: ESPNet's grid under PSPNet's."""
    grids = {"student": shapes(STUDENT, (64, 128)), "teacher": shapes(TEACHER, (65, 129))}
    student, teacher = maps(randn, STUDENT, (64, 128)), maps(randn, TEACHER, (65, 129))
    terms = build(only("pair_wise"), **grids)
    value = terms(student, teacher, random_labels(4, 2, 128, 256))["pair_wise"]
    expected = pair_wise(resize(student["pyramid"], (65, 129)), teacher["pyramid"])
    assert value.item() == pytest.approx(expected.item())
    said = "student's 64x128 resized to the teacher's 65x129, bilinear, corners aligned"
    assert f"term pair_wise: 1 x mean, tap pyramid, {said}" in list(terms.describe())


def test_logits_of_any_grid_are_resized(randn: Make, random_labels: Make) -> None:
    student, teacher = maps(randn, STUDENT, (32, 32)), maps(randn, TEACHER, (5, 5))
    terms = build(only("pixel_wise"), student=shapes(STUDENT, (32, 32)), teacher=shapes(TEACHER, (5, 5)))
    value = terms(student, teacher, random_labels(4, 2, 32, 32))["pixel_wise"]
    assert value.item() == pytest.approx(pixel_wise(resize(student["logits"], (5, 5)), teacher["logits"]).item())


def test_features_of_unlike_grids_are_an_error_before_the_first_step() -> None:
    with pytest.raises(TrainingError, match="pair_wise: the student's map is 17x17, the teacher's 9x9"):
        build(only("pair_wise"), student=shapes(STUDENT, (17, 17)))


@pytest.mark.parametrize(
    ("configs", "changes", "message"),
    [
        (only("pair_wise", tap="pyramids"), {}, "the student has no tap 'pyramids': did you mean 'pyramid'"),
        (only("pair_wise", tap="backbone"), {"teacher": shapes({"logits": 4})}, "the teacher has no tap 'backbone'"),
        (only("channel_wise"), {"teacher": shapes({"logits": 19})}, "have 4 classes, the teacher's 19"),
        (only("kd", tap="pyramid"), {}, "'pyramid' has 5 channels, the teacher's 8, and kd needs them equal"),
        (only("holistic"), {"teacher": shapes({"logits": 19})}, "have 4 classes, the teacher's 19"),
        (only("position"), {"position_net": None}, "run stage position first"),
        (only("position", tap="backbone"), {}, "reads 8 channels, the teacher's tap 'backbone' has 12"),
    ],
)
def test_mistakes(configs: dict[str, TermConfig], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message) as caught:
        build(configs, **changes)
    assert "\n" not in str(caught.value)


def test_the_order_of_the_terms_does_not_count(batch: tuple[Maps, Maps, Tensor]) -> None:
    """Neither for the adapters' first weights nor for the sum."""
    features = {"kind": "channel_wise", "tap": "backbone", "weight": 5.0}
    configs = resolve("idd", {"features": features, "holistic": {"weight": 0.1}})
    found = []
    for terms in (build(configs), build(dict(reversed(configs.items())))):
        values = terms(*batch)
        found.append((terms.state_dict(), values, terms.total(values, weights(terms))))
    (state, values, total), (other_state, other_values, other_total) = found
    assert all(torch.equal(state[name], other_state[name]) for name in state)
    assert all(torch.equal(values[name], other_values[name]) for name in values)
    assert torch.equal(total, other_total)
