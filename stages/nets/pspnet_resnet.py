"""PSPNet (Zhao et al. 2017) over a deep-stem dilated ResNet, as Liu et al. 2019 distil it.

The paper's teacher has depth 101, its students 18 at width 1 and 0.5.
"""

from stages.nets.pyramid import PyramidPooling
from stages.nets.resnet import ResNet
from stages.nets.segmenter import Segmenter


def pspnet_resnet(classes: int, depth: int, width: float = 1.0) -> Segmenter:
    """PSPNet-R`depth`, every width of the network scaled by `width`, with an auxiliary head on layer3."""
    backbone = ResNet(depth, width)
    branch_channels = backbone.channels // 4
    pyramid = PyramidPooling(backbone.channels, branch_channels, branch_channels)
    return Segmenter(backbone, pyramid, branch_channels, classes)
