"""PSPNet without dilation, for boards: ResNet of output stride 32, pyramid pooling, a light decoder to 1/8.

Dilated convolutions at 1/8 cost most of PSPNet's multiply-accumulates and run slowly on accelerators; FFNet (Mehta
et al. 2022, "Simple and efficient architectures") goes without them and adds maps from coarse to fine instead. So here:
the pyramid reads layer4 at 1/32, and layer3 and layer2 join it through 1x1 convolutions. Deviations from
FFNet: pyramid pooling in place of a backbone with a larger field of view, one width for all maps, and the joined
map alone is classified. Deviation from PSPNet: branches of the pyramid as wide as its output. Batch norm eps 1e-5 and
momentum 0.1; LeakyReLU 0.01 in the pyramid, ReLU elsewhere.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from stages.nets.layers import conv_bn, conv_bn_relu, initialise, resized
from stages.nets.pyramid import PyramidPooling
from stages.nets.resnet_strided import StridedResNet
from stages.nets.segmenter import auxiliary_head


class StridedPSPNet(nn.Module):
    """Strided backbone, pyramid pooling, decoder, 1x1 classifier; an auxiliary head on layer3 while it trains.

    Taps: `backbone` is layer4's map (1/32), `pyramid` the decoder's (1/8), which the classifier reads: it has
    the grid of a dilated teacher's `pyramid`.
    """

    def __init__(self, backbone: StridedResNet, channels: int, classes: int) -> None:
        super().__init__()
        _, c8, c16, c32 = backbone.channels
        self.backbone = backbone
        self.pyramid = PyramidPooling(c32, channels, channels)
        self.join_16 = conv_bn(c16, channels, 1)
        self.join_8 = conv_bn(c8, channels, 1)
        self.smooth_8 = conv_bn_relu(channels, channels, 3)
        self.head = nn.Conv2d(channels, classes, 1)
        self.aux_head: nn.Module | None = auxiliary_head(c16, classes)
        self.tap_channels = {"logits": classes, "backbone": c32, "pyramid": channels}
        for part in (self.join_16, self.join_8, self.smooth_8):
            initialise(part)

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """Normalised float images to `logits` and taps, each N x C x h x w; `aux` too in training mode."""
        _, map_8, map_16, map_32 = self.backbone(images_NCHW)
        x_16 = F.relu(resized(self.pyramid(map_32), map_16) + self.join_16(map_16))
        x_8 = F.relu(resized(x_16, map_8) + self.join_8(map_8))
        pyramid = self.smooth_8(x_8)
        outputs = {"logits": self.head(pyramid), "backbone": map_32, "pyramid": pyramid}
        if self.training and self.aux_head is not None:
            outputs["aux"] = self.aux_head(map_16)
        return outputs


def pspnet_resnet_strided(classes: int, depth: int, width: float = 1.0) -> StridedPSPNet:
    """PSPNet-R`depth` of output stride 32, every width scaled by `width`."""
    backbone = StridedResNet(depth, width)
    return StridedPSPNet(backbone, backbone.channels[-1] // 4, classes)
