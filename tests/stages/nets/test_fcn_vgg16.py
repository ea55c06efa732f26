import torch
from torch.nn import functional as F
from torchvision.models import vgg16

from stages.nets.fcn_vgg16 import VGG16, bilinear, enlarge, fcn_vgg16


def test_convolutions_are_torchvisions() -> None:
    with torch.device("meta"):
        ours, theirs = VGG16(), vgg16(weights=None).features
    assert {key: value.shape for key, value in ours.features.state_dict().items()} == {
        key: value.shape for key, value in theirs.state_dict().items()
    }
    assert ours.features[0].padding == (100, 100)
    assert [tuple(each.shape) for each in ours(torch.empty(1, 3, 64, 64, device="meta"))] == [
        (1, 256, 33, 33),
        (1, 512, 17, 17),
        (1, 512, 9, 9),
    ]


def test_an_enlargement_starts_bilinear() -> None:
    assert bilinear(2).tolist()[0] == [0.0625, 0.1875, 0.1875, 0.0625]
    x = torch.randn(1, 3, 5, 6)
    expected = F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)
    # Away from the edge, where interpolation repeats the last cell and a convolution has zeros.
    actual = enlarge(3, 4)(x)[..., 2:-2, 2:-2]
    torch.testing.assert_close(actual[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2])


def test_scores_of_three_grids_meet_in_place() -> None:
    net = fcn_vgg16(2, width=0.02).eval()
    pictures = torch.zeros(1, 3, 128, 128)
    with torch.no_grad():
        for score, level in ((net.score_32, 1.0), (net.score_16, 10.0), (net.score_8, 100.0)):
            torch.nn.init.zeros_(score.weight)
            torch.nn.init.constant_(score.bias, level)
        logits = net(pictures)["logits"]
    # Enlarged maps fade out at the edge.
    assert logits[..., 48:80, 48:80].allclose(torch.tensor(111.0), atol=1e-3)
    assert logits.min() > 110
