"""Parameters and multiply-accumulates against the reference counts, on the meta device."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stages.nets.catalogue import build

R18, R101, HALF = ("pspnet_resnet18", {}), ("pspnet_resnet101", {}), ("pspnet_resnet18", {"width": 0.5})
MOBILENET, ESPNET = ("pspnet_mobilenet_v2", {}), ("espnet", {"p": 2, "q": 8})
Network = tuple[str, dict[str, Any]]


def on_meta(network: Network, classes: int) -> nn.Module:
    with torch.device("meta"):
        return build(network[0], classes, **network[1])


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def macs(net: nn.Module, kind: type[nn.Module]) -> int:
    """Multiply-accumulates of one kind of layer for an image of 512 x 1024, logits at the network's grid."""
    counted = 0

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal counted
        # A transposed convolution spreads each input cell, a convolution gathers for each output cell.
        cells = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        counted += cells.numel() * layer.weight[0].numel()

    for module in net.modules():
        if isinstance(module, kind):
            module.register_forward_hook(count)
    # Two images: a pyramid in training mode, where the auxiliary head runs, takes no single one.
    net(torch.empty(2, 3, 512, 1024, device="meta"))
    assert counted % 2 == 0
    return counted // 2


@pytest.mark.parametrize(
    ("network", "classes", "expected"),
    [
        (R101, 19, 70_437_350),
        (R18, 19, 13_068_262),
        (HALF, 19, 3_271_686),
        (MOBILENET, 19, 2_146_011),
        (ESPNET, 19, 363_462),
        (R101, 150, 70_571_756),
        (R18, 150, 13_102_060),
        (HALF, 150, 3_288_716),
        (MOBILENET, 150, 2_151_382),
        (R101, 21, 70_439_402),
        (R18, 21, 13_068_778),
        (HALF, 21, 3_271_946),
    ],
)
def test_parameters_with_aux_head(network: Network, classes: int, expected: int) -> None:
    assert parameters(on_meta(network, classes)) == expected


@pytest.mark.parametrize(
    ("network", "expected"),
    [(R101, 65_707_475), (R18, 12_770_515), (HALF, 3_196_531), (MOBILENET, 2_146_011), (ESPNET, 363_462)],
)
def test_parameters_as_deployed(network: Network, expected: int) -> None:
    net = on_meta(network, 19)
    net.aux_head = None
    assert parameters(net) == expected


@pytest.mark.parametrize(
    ("network", "with_aux", "deployed"),
    [
        (R101, 574_932_147_200, 535_285_184_000),
        (R18, 125_831_856_896, 123_338_627_456),
        (HALF, 31_524_783_488, 30_896_378_048),
        (ESPNET, 4_421_869_568, 4_421_869_568),
    ],
)
def test_convolution_macs_at_512x1024(network: Network, with_aux: int, deployed: int) -> None:
    assert macs(on_meta(network, 19), nn.Conv2d) == with_aux
    net = on_meta(network, 19)
    net.aux_head = None
    assert macs(net, nn.Conv2d) == deployed


def test_espnet_has_transposed_convolutions_beside_the_counted_ones() -> None:
    assert macs(on_meta(ESPNET, 19), nn.ConvTranspose2d) == 248_414_208


def test_backbone_of_mobilenet_v2() -> None:
    assert parameters(on_meta(MOBILENET, 19).backbone) == 1_811_712
