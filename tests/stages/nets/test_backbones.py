"""Backbones that keep torchvision's or their paper's form."""

import pytest
import torch
from torchvision.models import get_model

from stages.nets.catalogue import CATALOGUE, build
from stages.nets.preactivated import Basic, Bottleneck, basics
from stages.nets.resnet_strided import StridedResNet
from stages.nets.stdc import STDC, DenseConcatenation


@pytest.mark.parametrize("depth", [18, 50])
def test_the_strided_resnet_is_torchvisions(depth: int) -> None:
    torch.manual_seed(0)
    theirs = get_model(f"resnet{depth}", weights=None).eval()
    ours = StridedResNet(depth).eval()
    ours.load_state_dict({key: value for key, value in theirs.state_dict().items() if not key.startswith("fc.")})
    images = torch.randn(1, 3, 65, 90)
    with torch.no_grad():
        x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
        for layer, actual in zip(("layer1", "layer2", "layer3", "layer4"), ours(images), strict=True):
            x = getattr(theirs, layer)(x)
            torch.testing.assert_close(actual, x, atol=1e-4, rtol=1e-3)
    assert ours.channels == tuple(channels * (4 if depth == 50 else 1) for channels in (64, 128, 256, 512))


@pytest.mark.parametrize(("layout", "blocks", "published"), [(1, 6, 8.44), (2, 12, 12.47)])
def test_stdc_has_the_blocks_and_parameters_of_its_paper(layout: int, blocks: int, published: float) -> None:
    net = STDC(layout)
    assert sum(isinstance(module, DenseConcatenation) for module in net.modules()) == blocks
    assert net.channels == (256, 512, 1024)
    # Its classifier of 1,000 classes: a 1x1 convolution with batch norm and two linear layers.
    classifier = 1024 * 1024 + 2 * 1024 + 1024 * 1024 + 1024 * 1000
    parameters = sum(parameter.numel() for parameter in net.parameters()) + classifier
    assert round(parameters / 1e6, 2) == published


def test_a_block_concatenates_half_a_quarter_and_two_eighths() -> None:
    block = DenseConcatenation(8, 32, stride=2)
    assert [block.first[0].out_channels] + [each[0].out_channels for each in block.rest] == [16, 8, 4, 4]
    assert block.down[0].groups == 16
    assert block(torch.zeros(2, 8, 9, 12)).shape == (2, 32, 5, 6)


def test_all_but_the_last_block_end_in_a_relu() -> None:
    assert [block.act for block in basics(3, 4, 8, stride=2)] == [True, True, False]
    assert [block.act for block in basics(1, 4, 8)] == [False]
    assert basics(2, 4, 8, stride=2)(torch.zeros(2, 4, 5, 6)).shape == (2, 8, 3, 3)
    for block in (Basic(4, 4), Bottleneck(4, 2)):
        torch.nn.init.constant_(block.layers[-1][1].bias, -1.0)
        assert block.eval()(torch.zeros(1, 4, 3, 3)).max() < 0


@pytest.mark.parametrize("net_name", [name for name, entry in CATALOGUE.items() if entry.torchvision])
def test_the_backbone_takes_the_weights_that_the_catalogue_names(net_name: str) -> None:
    with torch.device("meta"):
        theirs = get_model(CATALOGUE[net_name].torchvision, weights=None).state_dict()
        ours = build(net_name, 19).backbone.state_dict()
    fits = {key for key, value in ours.items() if key in theirs and theirs[key].shape == value.shape}
    share = sum(ours[key].numel() for key in fits) / sum(value.numel() for value in ours.values())
    # All but the deep stem and what reads it.
    assert share == 1 if "resnet" not in net_name or "strided" in net_name or "refinenet" in net_name else share > 0.97
