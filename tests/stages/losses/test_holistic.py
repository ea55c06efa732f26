from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from stages.losses.binding import Seen, Setting
from stages.losses.holistic import Critic, build, gradient_penalty, holistic, readable_grid, wasserstein
from stages.losses.methods import resolve
from stages.nets.discriminator import Discriminator
from stages.nets.shapes import MapShape

Make = Callable[..., Tensor]
CLASSES = 3


class Linear(nn.Module):
    """Score <w, x>, whose gradient is w everywhere."""

    def __init__(self, w: Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(w)

    def forward(self, x_NChw: Tensor) -> Tensor:
        return (x_NChw * self.w).sum(dim=(1, 2, 3))


def narrow(seed: int = 0) -> Discriminator:
    """The discriminator with 4 channels where the published one has 64, in eval mode, attention switched on."""
    torch.manual_seed(seed)
    discriminator = Discriminator(CLASSES, width=4).double()
    with torch.no_grad():
        for module in discriminator.modules():
            if hasattr(module, "gamma"):
                module.gamma.fill_(0.5)
    return discriminator.eval()


def test_both_sides_equal_their_formulas(randn: Make) -> None:
    student, teacher = randn(5), randn(5)
    assert holistic(student).item() == pytest.approx(-sum(student.tolist()) / 5, abs=1e-12)
    expected = sum(student.tolist()) / 5 - sum(teacher.tolist()) / 5
    assert wasserstein(student, teacher).item() == pytest.approx(expected, abs=1e-12)


def test_penalty_of_a_linear_score_is_known(randn: Make) -> None:
    score = Linear(randn(CLASSES, 4, 5))
    penalty = gradient_penalty(score, randn(2, CLASSES, 4, 5), randn(2, CLASSES, 4, 5), randn(2, 1, 1, 1))
    assert penalty.item() == pytest.approx((score.w.norm().item() - 1) ** 2, abs=1e-9)
    penalty.backward()
    expected = 2 * (score.w.norm() - 1) * score.w / score.w.norm()
    torch.testing.assert_close(score.w.grad, expected.detach(), rtol=0, atol=1e-9)


def test_penalty_is_taken_between_student_and_teacher(randn: Make) -> None:
    """The gradient of |x|^2 / 2 is x itself."""
    student, teacher, share = randn(3, CLASSES, 2, 2), randn(3, CLASSES, 2, 2), torch.rand(3, 1, 1, 1).double()
    expected = 0.0
    for image_s, image_t, a in zip(student, teacher, share.flatten().tolist(), strict=True):
        between = [a * t + (1 - a) * s for s, t in zip(image_s.flatten(), image_t.flatten(), strict=True)]
        expected += (sum(v.item() ** 2 for v in between) ** 0.5 - 1) ** 2 / 3
    value = gradient_penalty(lambda x: x.square().sum(dim=(1, 2, 3)) / 2, student, teacher, share)
    assert value.item() == pytest.approx(expected, abs=1e-9)


def test_penalty_of_equal_maps_and_a_flat_score_has_a_finite_gradient(randn: Make) -> None:
    score, maps = Linear(torch.zeros(CLASSES, 2, 2, dtype=torch.float64)), randn(2, CLASSES, 2, 2)
    penalty = gradient_penalty(score, maps, maps, torch.full((2, 1, 1, 1), 0.5))
    penalty.backward()
    assert penalty.item() == 1 and score.w.grad.isfinite().all()


def test_gradgradcheck_of_the_penalty_through_the_discriminator(randn: Make) -> None:
    """With spectral norm in eval mode: a power iteration would make the weights depend on the number of calls."""
    discriminator = narrow()
    student, teacher, share = randn(1, CLASSES, 64, 64), randn(1, CLASSES, 64, 64), torch.rand(1, 1, 1, 1).double()

    def penalty(maps_NChw: Tensor) -> Tensor:
        return gradient_penalty(discriminator, maps_NChw, teacher, share)

    assert torch.autograd.gradcheck(penalty, student.clone().requires_grad_(), fast_mode=True)
    assert torch.autograd.gradgradcheck(discriminator, student.clone().requires_grad_(), fast_mode=True)
    assert torch.autograd.gradgradcheck(penalty, student.clone().requires_grad_(), fast_mode=True)


def test_gradient_of_the_penalty_with_respect_to_the_discriminator(randn: Make) -> None:
    discriminator = narrow()
    student, teacher, share = randn(1, CLASSES, 64, 64), randn(1, CLASSES, 64, 64), torch.rand(1, 1, 1, 1).double()
    names = [name for name, _ in discriminator.named_parameters()]

    def penalty(*parameters: Tensor) -> Tensor:
        replaced = dict(zip(names, parameters, strict=True))
        return gradient_penalty(lambda x: functional_call(discriminator, replaced, (x,)), student, teacher, share)

    parameters = [p.detach().clone().requires_grad_() for p in discriminator.parameters()]
    assert torch.autograd.gradcheck(penalty, parameters, fast_mode=True)


def built(shape: MapShape) -> tuple[Callable[[Seen], Tensor], Critic, str]:
    torch.manual_seed(0)
    term = resolve("custom", {"holistic": {"weight": 0.1}})["holistic"]
    bound = build(term, Setting(shape.channels, shape))
    assert isinstance(bound.critic, Critic) and bound.critic_lr == 4e-4
    return bound.value, bound.critic, bound.note


def test_the_students_side_leaves_the_discriminator_alone(randn: Make) -> None:
    value, critic, _ = built(MapShape(CLASSES, 65, 65))
    student = randn(2, CLASSES, 65, 65).float().requires_grad_()
    labels = torch.zeros(2, 65, 65, dtype=torch.uint8)
    value(Seen(student, randn(2, CLASSES, 65, 65).float(), labels)).backward()
    assert student.grad is not None and student.grad.isfinite().all() and student.grad.any()
    assert all(p.grad is None and p.requires_grad for p in critic.parameters())


def test_the_critics_side_leaves_student_and_teacher_alone(randn: Make) -> None:
    _, critic, _ = built(MapShape(CLASSES, 65, 65))
    student = randn(2, CLASSES, 65, 65).float().requires_grad_()
    teacher = randn(2, CLASSES, 65, 65).float().requires_grad_()
    critic(student, teacher).backward()
    assert student.grad is None and teacher.grad is None
    # What both attentions mix in is multiplied by their factor, which starts at 0.
    without = {n for n, p in critic.named_parameters() if p.grad is None or not p.grad.any()}
    attentions = {
        n for n, _ in critic.named_parameters() if any(f".{part}." in n for part in ("query", "key", "value"))
    }
    assert without <= attentions | {"discriminator.layers.7.bias"}
    assert all(p.grad is None or p.grad.isfinite().all() for p in critic.parameters())


def test_the_critic_learns_to_tell_them_apart(randn: Make) -> None:
    torch.manual_seed(0)
    critic = Critic(Discriminator(CLASSES, width=8), penalty=0.1)
    student, teacher = randn(2, CLASSES, 64, 64).float(), 3 + randn(2, CLASSES, 64, 64).float()
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.05)

    def gap() -> float:
        with torch.no_grad():
            return float(critic.discriminator(teacher).mean() - critic.discriminator(student).mean())

    before = gap()
    for _ in range(10):
        loss = critic(student, teacher)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert gap() > before + 0.1


@pytest.mark.parametrize("side", ["student", "critic"])
def test_both_sides_are_computed_in_fp32_under_autocast(side: str, randn: Make) -> None:
    value, critic, _ = built(MapShape(CLASSES, 64, 64))
    student = (20 * randn(2, CLASSES, 64, 64)).bfloat16().requires_grad_()
    teacher = (20 * randn(2, CLASSES, 64, 64)).bfloat16()
    state = {name: tensor.clone() for name, tensor in critic.state_dict().items()}

    def loss(maps_NChw: Tensor) -> Tensor:
        critic.load_state_dict(state)
        torch.manual_seed(1)
        labels = torch.zeros(2, 64, 64, dtype=torch.uint8)
        return value(Seen(maps_NChw, teacher, labels)) if side == "student" else critic(maps_NChw, teacher)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = loss(student)
    under_autocast.backward()
    assert under_autocast.dtype == torch.float32
    assert under_autocast.item() == pytest.approx(loss(student.detach().float()).item(), rel=1e-5)


def test_small_maps_are_enlarged_and_that_is_said() -> None:
    assert [readable_grid(*grid) for grid in ((13, 25), (64, 64), (65, 129), (40, 129))] == [
        (65, 65),
        (64, 64),
        (65, 129),
        (65, 129),
    ]
    assert built(MapShape(CLASSES, 13, 25))[2] == "logits enlarged to 65x65 for the discriminator"
    assert built(MapShape(CLASSES, 65, 65))[2] == ""
