"""MobileNetV2 (Sandler et al. 2018) up to its last inverted residual, dilated to output stride 8.

Keys are torchvision's. A stage whose stride is dropped keeps the rate of the stage before in its first
depthwise convolution, and only then dilates: at every fourth cell the maps equal those of the network with
strides, so its weights carry over exactly. Batch norms have momentum 0.1 and eps 1e-5, as torchvision's.
"""

from torch import Tensor, nn

from stages.nets.layers import conv_bn, initialise, scaled

STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, blocks, stride of each stage: Sandler et al. 2018, table 2."""

MIDDLE_STAGE = 4
"""The stage of 96 channels, the last before the dropped stride of 160."""

OUTPUT_STRIDE = 8


def conv_bn_relu6(
    channels: int, out_channels: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU6; keeps the grid at stride 1."""
    return conv_bn(channels, out_channels, kernel, stride, dilation, groups, act=nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise 3x3, linear 1x1; adds its input where the shape is kept."""

    def __init__(self, channels: int, out_channels: int, stride: int, dilation: int, expansion: int) -> None:
        super().__init__()
        self.adds_input = stride == 1 and channels == out_channels
        hidden = channels * expansion
        expand = [] if expansion == 1 else [conv_bn_relu6(channels, hidden, 1)]
        self.conv = nn.Sequential(
            *expand,
            conv_bn_relu6(hidden, hidden, 3, stride, dilation, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to N x out_channels x h/stride x w/stride."""
        out: Tensor = self.conv(x)
        return x + out if self.adds_input else out


class MobileNetV2(nn.Module):
    """`features.0` to `features.17` of MobileNetV2."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = scaled(32, width)
        layers: list[nn.Module] = [conv_bn_relu6(3, channels, 3, stride=2)]
        reached, rate = 2, 1
        for index, (expansion, planes, blocks, stride) in enumerate(STAGES):
            out_channels = scaled(planes, width)
            kept = stride if reached * stride <= OUTPUT_STRIDE else 1
            layers.append(InvertedResidual(channels, out_channels, kept, rate, expansion))
            reached, rate = reached * kept, rate * stride // kept
            layers += [InvertedResidual(out_channels, out_channels, 1, rate, expansion) for _ in range(blocks - 1)]
            channels = out_channels
            if index == MIDDLE_STAGE:
                self.middle_channels, self.middle_layers = channels, len(layers)
        self.features = nn.Sequential(*layers)
        self.channels = channels
        initialise(self)

    def forward(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised float images to the maps of 96 and of 320 channels (at width 1.0), both at 1/8."""
        middle = self.features[: self.middle_layers](images_NCHW)
        return middle, self.features[self.middle_layers :](middle)
