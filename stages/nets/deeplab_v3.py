"""DeepLabV3 (Chen et al. 2017) of output stride 8 over a dilated ResNet or MobileNetV2.

After the atrous pyramid come dropout 0.5, a 3x3 convolution and dropout 0.1, as in torchvision's and CIRKD's
(Yang et al. 2022) networks; the paper classifies the pyramid's map itself. The width of the head is theirs too:
256 on 2048 channels, 128 on 512 and on MobileNetV2's 320. Batch norms have torch's eps 1e-5 and momentum 0.1;
the paper's momentum is 0.0003 in torch's terms.
"""

from torch import nn

from stages.nets.aspp import AtrousPyramid
from stages.nets.layers import conv_bn_relu, initialise, scaled
from stages.nets.mobilenet_v2 import MobileNetV2
from stages.nets.resnet import ResNet
from stages.nets.segmenter import Segmenter


def context(channels: int, out_channels: int) -> nn.Sequential:
    """Atrous pyramid and the 3x3 convolution after it: N x channels x h x w to N x out_channels x h x w."""
    module = nn.Sequential(
        AtrousPyramid(channels, out_channels),
        nn.Dropout(0.5),
        conv_bn_relu(out_channels, out_channels, 3),
        nn.Dropout(0.1),
    )
    initialise(module)
    return module


def auxiliary_head(channels: int, classes: int) -> nn.Sequential:
    """Training-only classifier of the backbone's middle map, a quarter as wide as it; torchvision's and CIRKD's."""
    hidden = channels // 4
    return nn.Sequential(conv_bn_relu(channels, hidden, 3), nn.Dropout(0.1), nn.Conv2d(hidden, classes, 1))


def deeplabv3_resnet(classes: int, depth: int, width: float = 1.0) -> Segmenter:
    """DeepLabV3-R`depth` on the deep stem of this package's ResNet, with an auxiliary head on layer3."""
    backbone = ResNet(depth, width)
    head_channels = scaled(256 if depth >= 50 else 128, width)
    return Segmenter(backbone, context(backbone.channels, head_channels), head_channels, classes, auxiliary_head)


def deeplabv3_mobilenet_v2(classes: int, width: float = 1.0) -> Segmenter:
    """DeepLabV3-MobileNetV2 without an auxiliary head."""
    backbone = MobileNetV2(width)
    head_channels = scaled(128, width)
    return Segmenter(backbone, context(backbone.channels, head_channels), head_channels, classes, aux=None)
