"""PSPNet (Zhao et al. 2017) over MobileNetV2: a thin head, so that the whole has the 2.15M parameters of the paper."""

from stages.nets.mobilenet_v2 import MobileNetV2
from stages.nets.pyramid import PyramidPooling
from stages.nets.segmenter import Segmenter


def pspnet_mobilenet_v2(classes: int, width: float = 1.0) -> Segmenter:
    """PSPNet-MobileNetV2 without an auxiliary head; at width 1.0 branches of 80 and a fused map of 40."""
    backbone = MobileNetV2(width)
    pyramid_channels = backbone.channels // 8
    pyramid = PyramidPooling(backbone.channels, backbone.channels // 4, pyramid_channels)
    return Segmenter(backbone, pyramid, pyramid_channels, classes, aux=None)
