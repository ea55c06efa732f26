import pytest
import torch
from torchvision.models import get_model

from stages.nets.resnet import ResNet


@pytest.mark.parametrize("depth", [18, 50])
def test_layer2_is_the_one_of_torchvision(depth: int) -> None:
    torch.manual_seed(0)
    ours, theirs = ResNet(depth).layer2.eval(), get_model(f"resnet{depth}", weights=None).layer2.eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    channels = theirs[0].conv1.in_channels
    x = torch.randn(1, channels, 12, 17)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_every_3x3_of_the_last_stages_dilates(depth: int) -> None:
    with torch.device("meta"):
        net = ResNet(depth)
    for stage, rate in ((net.layer3, 2), (net.layer4, 4)):
        convolutions = [m for m in stage.modules() if isinstance(m, torch.nn.Conv2d)]
        assert {m.dilation for m in convolutions if m.kernel_size == (3, 3)} == {(rate, rate)}
        assert {m.stride for m in convolutions} == {(1, 1)}


@pytest.mark.parametrize("depth", [34, 101])
def test_keys_after_the_stem_are_those_of_torchvision(depth: int) -> None:
    with torch.device("meta"):
        ours, theirs = ResNet(depth).state_dict(), get_model(f"resnet{depth}", weights=None).state_dict()
    missing = [key for key in theirs if key not in ours]
    assert missing == ["fc.weight", "fc.bias"]
    unlike = {key for key in theirs if key in ours and ours[key].shape != theirs[key].shape}
    assert unlike <= {"conv1.weight", "layer1.0.conv1.weight", "layer1.0.downsample.0.weight"}
