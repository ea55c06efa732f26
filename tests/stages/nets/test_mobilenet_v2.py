import torch
from torchvision.models import mobilenet_v2

from stages.nets.mobilenet_v2 import MobileNetV2


def test_dilation_keeps_the_strided_network_at_every_fourth_cell() -> None:
    torch.manual_seed(0)
    theirs = mobilenet_v2(weights=None).features[:18].train()
    # One pass in training mode gives the running statistics of these images, so that no map dies out.
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    images = torch.randn(2, 3, 104, 136)
    with torch.no_grad():
        theirs(images)
        theirs.eval()
        ours = MobileNetV2().eval()
        ours.features.load_state_dict(theirs.state_dict(), strict=True)
        strided, (middle, dilated) = theirs(images), ours(images)
        strided_middle = theirs[:14](images)
    assert dilated.shape == (2, 320, 13, 17)
    torch.testing.assert_close(dilated[..., ::4, ::4], strided, atol=1e-4, rtol=1e-4)
    assert middle.shape == (2, 96, 13, 17)
    torch.testing.assert_close(middle[..., ::2, ::2], strided_middle, atol=1e-4, rtol=1e-4)
    assert strided.abs().max() > 0.1


def test_width_follows_torchvision() -> None:
    with torch.device("meta"):
        ours = MobileNetV2(0.35).features.state_dict()
        theirs = mobilenet_v2(weights=None, width_mult=0.35).features[:18].state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}
