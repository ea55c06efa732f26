import torch
from torch import nn

from stages.nets.catalogue import build
from stages.nets.shapes import MapShape, map_shapes


def test_shapes_of_the_papers_own_pair() -> None:
    """ESPNet's grid at 1/8 and PSPNet's differ by a cell; ESPNet's logits have the images' own."""
    espnet, pspnet = build("espnet", 5), build("pspnet_resnet18", 5, width=0.25)
    assert map_shapes(espnet, (64, 128)) == {
        "logits": MapShape(5, 64, 128),
        "backbone": MapShape(128, 8, 16),
        "pyramid": MapShape(256, 8, 16),
    }
    assert map_shapes(pspnet, (64, 128)) == {
        "logits": MapShape(5, 9, 17),
        "backbone": MapShape(128, 9, 17),
        "pyramid": MapShape(32, 9, 17),
    }


def test_nothing_of_the_network_changes() -> None:
    net = build("pspnet_resnet18", 5, width=0.25)
    net.backbone.layer1.eval()
    modes = [module.training for module in net.modules()]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    random = torch.get_rng_state()
    map_shapes(net, (64, 64))
    assert [module.training for module in net.modules()] == modes and True in modes and False in modes
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


def test_a_network_that_fails_keeps_its_mode() -> None:
    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 1, 9)

        def forward(self, images_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.convolution(images_NCHW)}

    net = Failing()
    try:
        map_shapes(net, (4, 4))
    except RuntimeError:
        assert net.training
    else:
        raise AssertionError("a kernel larger than the image was accepted")
