"""The teacher as the student's training calls it: the same maps, within the noise that its docstring states."""

from contextlib import nullcontext
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from stages.losses.methods import resolve
from stages.losses.terms import DistillationTerms
from stages.nets.catalogue import NetSpec, build
from stages.nets.fold import relative
from stages.nets.normalise import Normalise
from stages.nets.position import PositionNet
from stages.training.frozen import FrozenTeacher, cast_weights

CROP = (64, 96)
CLASSES = 6
SPEC = NetSpec("pspnet_resnet18", CLASSES, {"width": 0.25}, (0.5,) * 3, (0.5,) * 3)
BF16 = partial(torch.autocast, "cpu", torch.bfloat16)


def net(seed: int = 0) -> nn.Module:
    """A network whose statistics fit its weights, as after training."""
    torch.manual_seed(seed)
    made = build(SPEC.net, CLASSES, **SPEC.args)
    images = torch.rand(2, 3, *CROP) * 2 - 1
    with torch.no_grad():
        for _ in range(20):
            made(images)
    return made.eval()


def images(seed: int = 0) -> Tensor:
    """Smooth pictures, uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 3, 8, 12, generator=generator)
    fine = nn.functional.interpolate(coarse, size=CROP, mode="bilinear")
    return (255 * fine).permute(0, 2, 3, 1).to(torch.uint8)


@torch.no_grad()
def plain(network: nn.Module, images_NHWC: Tensor) -> dict[str, Tensor]:
    return network(Normalise(SPEC.mean, SPEC.std)(images_NHWC))


def test_in_fp32_the_maps_are_the_network_s_own_up_to_rounding() -> None:
    frozen = FrozenTeacher(net(), SPEC, CROP, "fp32", nullcontext)
    expected = plain(net(), images())
    assert frozen.folded == 28
    assert all(relative(expected[name], maps) < 1e-5 for name, maps in frozen(images()).items())
    assert frozen.shapes["pyramid"].grid == "9x13"


def test_weights_cast_once_change_no_bit() -> None:
    own, cast = net(), net()
    cast_weights(cast, torch.bfloat16)
    with BF16():
        expected, found = plain(own, images()), plain(cast, images())
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_the_noise_of_bf16_is_that_of_autocast_and_small() -> None:
    own, frozen = net(), FrozenTeacher(net(), SPEC, CROP, "bf16-mixed", BF16)
    exact = plain(own, images())
    with BF16():
        autocast = plain(own, images())
    noisy = {name: maps.float() for name, maps in frozen(images()).items()}
    for name, maps in exact.items():
        assert relative(maps, noisy[name]) < min(0.03, 1.2 * relative(maps, autocast[name])), name
    student = plain(net(seed=1), images())
    labels = torch.randint(0, CLASSES, (2, *CROP), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    configs = {n: t for n, t in resolve("idd", {}).items() if n not in ("supervised", "auxiliary")}
    position = PositionNet(frozen.shapes["pyramid"].channels, hidden=4)
    terms = DistillationTerms(configs, frozen.shapes, frozen.shapes, position)
    with torch.no_grad():
        values, moved = (terms(student, maps, labels) for maps in (exact, noisy))
    for name, value in values.items():
        assert moved[name].item() == pytest.approx(value.item(), rel=0.03), name


def test_its_maps_can_be_saved_for_backward() -> None:
    frozen = FrozenTeacher(net(), SPEC, CROP, "fp32", nullcontext)
    weight = torch.ones((), requires_grad=True)
    (weight * frozen(images())["logits"]).sum().backward()
    assert weight.grad is not None
    with torch.inference_mode(), pytest.raises(RuntimeError, match="Inference tensors cannot be saved"):
        maps = frozen(images())["logits"]
        with torch.inference_mode(False):
            (weight * maps).sum().backward()
