"""Blocks of networks with several resolutions side by side (DDRNet, PIDNet): residuals without a last ReLU, and
convolutions that normalise what they read.

Batch norms have eps 1e-5 and momentum 0.1.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from stages.nets.layers import conv, conv_bn, conv_bn_relu
from stages.nets.resnet import shortcut


def pre_conv(channels: int, out_channels: int, kernel: int, groups: int = 1, bias: bool = False) -> nn.Sequential:
    """Batch norm, ReLU, convolution."""
    return nn.Sequential(
        nn.BatchNorm2d(channels), nn.ReLU(inplace=True), conv(channels, out_channels, kernel, groups=groups, bias=bias)
    )


def head(channels: int, hidden: int, classes: int) -> nn.Sequential:
    """A 3x3 and a 1x1 convolution that score classes, each after batch norm and ReLU."""
    return nn.Sequential(pre_conv(channels, hidden, 3), pre_conv(hidden, classes, 1, bias=True))


def quarter(channels: int) -> nn.Sequential:
    """Images to 1/4: two 3x3 convolutions of stride 2 with biases, batch norm, ReLU."""
    return nn.Sequential(
        conv_bn_relu(3, channels, 3, stride=2, bias=True), conv_bn_relu(channels, channels, 3, stride=2, bias=True)
    )


class Basic(nn.Module):
    """Two 3x3 convolutions beside a shortcut; a last ReLU only where `act`."""

    expansion = 1

    def __init__(self, channels: int, planes: int, stride: int = 1, act: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv_bn_relu(channels, planes, 3, stride), conv_bn(planes, planes, 3))
        self.shortcut = shortcut(channels, planes, stride)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to N x planes x h/stride x w/stride."""
        total: Tensor = self.layers(x) + self.shortcut(x)
        return F.relu(total) if self.act else total


class Bottleneck(nn.Module):
    """1x1, 3x3 (which has the stride), 1x1 to twice the planes, beside a shortcut; no last ReLU."""

    expansion = 2

    def __init__(self, channels: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = planes * self.expansion
        self.layers = nn.Sequential(
            conv_bn_relu(channels, planes, 1), conv_bn_relu(planes, planes, 3, stride), conv_bn(planes, out_channels, 1)
        )
        self.shortcut = shortcut(channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to N x 2 planes x h/stride x w/stride."""
        total: Tensor = self.layers(x) + self.shortcut(x)
        return total


def basics(blocks: int, channels: int, planes: int, stride: int = 1) -> nn.Sequential:
    """Basic blocks of which the first has the stride and all but the last end in a ReLU."""
    first = Basic(channels, planes, stride, act=blocks > 1)
    return nn.Sequential(first, *(Basic(planes, planes, act=index < blocks) for index in range(2, blocks + 1)))
