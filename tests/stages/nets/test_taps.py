"""Maps by the path of a module, on anybody's network."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import NetworkError
from stages.nets.catalogue import NORMALISATIONS, NetSpec, build
from stages.nets.taps import add_taps

SIZE_PX = (32, 48)


def tapped(net_name: str, *wanted: str, taps: Any = None, tap_stride: int | None = None, **args: Any) -> nn.Module:
    torch.manual_seed(0)
    spec = NetSpec(net_name, 5, args, *NORMALISATIONS["imagenet"], taps or {}, tap_stride)
    net = build(net_name, 5, **args)
    add_taps(net, spec, wanted, SIZE_PX)
    return net.eval()


def images() -> Tensor:
    return torch.randn(2, 3, *SIZE_PX, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_a_tap_is_what_its_module_gives(own_nets: Path) -> None:
    net = tapped("own_nets:Small", "logits", "body.3", "pyramid", taps={"pyramid": "body"})
    outputs = net(images())
    assert net.tap_channels == {"logits": 5, "body.3": 8, "pyramid": 8}
    assert set(outputs) == set(net.tap_channels)
    assert torch.equal(outputs["pyramid"], net.model.body(images()))
    assert torch.equal(outputs["body.3"], outputs["pyramid"])
    assert torch.equal(outputs["logits"], net.model(images()))


@torch.no_grad()
def test_a_map_that_is_overwritten_in_place_is_kept_as_it_was(own_nets: Path) -> None:
    net = tapped("own_nets:Small", "body.1")
    before_relu = net.model.body[:2](images())
    assert before_relu.min() < 0
    assert torch.equal(net(images())["body.1"], before_relu)


@torch.no_grad()
def test_a_stride_resizes_with_aligned_corners(own_nets: Path) -> None:
    net = tapped("own_nets:Small", "body", tap_stride=5)
    own_NChw = net.model.body(images())
    wanted = F.interpolate(own_NChw, size=(7, 10), mode="bilinear", align_corners=True)
    assert own_NChw.shape[-2:] == (8, 12)
    assert torch.equal(net(images())["body"], wanted)


@torch.no_grad()
def test_networks_of_the_catalogue_have_paths_too() -> None:
    net = tapped("pspnet_resnet18", "backbone.layer4", "backbone", "backbone.layer2", width=0.125)
    outputs = net(images())
    assert torch.equal(outputs["backbone.layer4"], outputs["backbone"])
    assert net.tap_channels["backbone.layer2"] == 16 == outputs["backbone.layer2"].shape[1]


def test_gradients_flow_through_a_tap_and_nothing_enters_the_state(own_nets: Path) -> None:
    net = tapped("own_nets:Small", "body.0").train()
    net(images())["body.0"].square().sum().backward()
    assert net.model.body[0].weight.grad.abs().max() > 0 and net.model.head.weight.grad is None
    assert set(net.model.state_dict()) == set(build("own_nets:Small", 5).model.state_dict())


@pytest.mark.parametrize(
    ("net", "wanted", "settings", "told"),
    [
        ("own_nets:Small", "boddy.3", {}, r"no tap or module 'boddy.3', its own taps are logits.*did you mean body.3"),
        ("own_nets:Small", "pyramid", {}, r"taps.pyramid = PATH: the outermost are body, head; .*--net own_nets:Small"),
        ("own_nets:Small", "a", {"taps": {"a": "bod"}}, "no module 'bod' for tap 'a'"),
        ("torchvision:lraspp_mobilenet_v3_large", "backbone", {}, "module backbone gives a .*Dict.*a module inside it"),
        ("own_nets:Tied", "again.none", {}, "no tap or module 'again.none'"),
        (
            "pspnet_resnet18",
            "pyramids",
            {"width": 0.125},
            "own taps are logits, backbone, pyramid.*did you mean pyramid",
        ),
    ],
)
def test_paths_that_give_no_map(own_nets: Path, net: str, wanted: str, settings: Any, told: str) -> None:
    with pytest.raises(NetworkError, match=told) as caught:
        tapped(net, wanted, **settings)
    assert "\n" not in str(caught.value)


def test_a_module_that_gives_no_map(own_nets: Path) -> None:
    (own_nets / "flat.py").write_text(
        "from own_nets import *\n"
        "class Flat(Small):\n"
        "    def __init__(self, n_classes):\n"
        "        super().__init__(n_classes)\n"
        "        self.pool, self.idle = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), nn.Identity()\n"
        "    def forward(self, images):\n"
        "        return super().forward(images) + self.pool(images).mean()\n"
    )
    with pytest.raises(NetworkError, match="module pool gives 2 axes"):
        tapped("flat:Flat", "pool")
    with pytest.raises(NetworkError, match="module idle does not run"):
        tapped("flat:Flat", "idle")
