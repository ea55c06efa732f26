"""PSPNet over a deep-stem dilated ResNet: the paper's teacher (101) and students (18, 18 at width 0.5)."""

from stages.nets.pspnet import PSPNet
from stages.nets.pyramid import PyramidPooling
from stages.nets.resnet import ResNet


def pspnet_resnet(classes: int, depth: int, width: float = 1.0) -> PSPNet:
    """PSPNet-R`depth`, every width of the network scaled by `width`, with an auxiliary head on layer3."""
    backbone = ResNet(depth, width)
    branch_channels = backbone.channels // 4
    pyramid = PyramidPooling(backbone.channels, branch_channels, branch_channels)
    return PSPNet(backbone, pyramid, branch_channels, classes, aux=True)
