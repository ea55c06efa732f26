"""A step in parts has the terms and the gradient of the whole batch."""

import pytest
import torch
from torch import Tensor, nn

from stages.loading.loader import Batch
from stages.losses.methods import resolve
from stages.losses.terms import DistillationTerms
from stages.nets.normalise import Normalise
from stages.nets.position import PositionNet
from stages.nets.shapes import map_shapes
from stages.training.device import start_fabric
from stages.training.parts import mean_of, parts_of
from stages.training.student import Feed, NetWithTerms

CLASSES = 3
METHODS = {
    "idd": {"kd": {"weight": 1.0}, "ifvd": {"weight": 1.0}},
    "skd": {"pixel_wise": {"reduction": "published"}},
}
"""Between them every way to take a mean; the discriminator is left out, which has a batch norm of its own."""


class Plain(nn.Module):
    """Computes each image by itself: no batch norm, no dropout."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, 4)
        self.head = nn.Conv2d(width, CLASSES, 1)
        self.aux_head = nn.Conv2d(width, CLASSES, 1)
        self.tap_channels = {"logits": CLASSES, "pyramid": width}

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        pyramid = self.stem(images_NCHW).relu()
        aux = {"aux": self.aux_head(pyramid)} if self.training else {}
        return {"logits": self.head(pyramid), "pyramid": pyramid, **aux}


def batch(ignored: int) -> Batch:
    """Four images; the first has `ignored` rows without a class, so that parts have unlike numbers of valid pixels."""
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, CLASSES, (4, 32, 32), dtype=torch.uint8, generator=generator)
    labels[0, :ignored] = 255
    return Batch(images, labels)


def step(method: str, parts: int, ignored: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Values and gradients of one step."""
    fabric = start_fabric("fp32", "cpu", seed=0)
    net, teacher = Plain(4), Plain(6).eval()
    position = PositionNet(6, hidden=3)
    shapes = map_shapes(net, (32, 32)), map_shapes(teacher, (32, 32))
    terms = DistillationTerms(resolve(method, METHODS[method]), *shapes, position)
    module = NetWithTerms(net, Normalise((0.5,) * 3, (0.5,) * 3), terms).train()
    weights = {name: term.weight for name, term in terms.configs.items()}

    def maps(images_NHWC: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            return teacher(module.normalise(images_NHWC))

    values = []
    for arguments in Feed(fabric, maps, lambda i: weights, parts, "cpu", None)(0, batch(ignored)):
        total, each, _ = module(*arguments)
        (total / parts).backward()
        values.append({"total": total.detach(), **each})
    gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    return mean_of(values), gradients


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("ignored", [0, 20, 32])
def test_terms_and_gradients_are_those_of_the_whole_batch(method: str, parts: int, ignored: int) -> None:
    whole, gradients = step(method, 1, ignored)
    values, in_parts = step(method, parts, ignored)
    assert values.keys() == whole.keys() and in_parts.keys() == gradients.keys()
    for name, value in whole.items():
        assert values[name].item() == pytest.approx(value.item(), rel=1e-5, abs=1e-7), name
    for name, gradient in gradients.items():
        torch.testing.assert_close(in_parts[name], gradient, rtol=1e-4, atol=1e-6)


def test_a_batch_without_a_valid_pixel_has_terms_of_zero() -> None:
    parts = parts_of([torch.full((1, 2, 2), 255), torch.full((1, 2, 2), 255)], start_fabric("fp32", "cpu", 0))
    assert [int(part.of) for part in parts] == [0, 0]
