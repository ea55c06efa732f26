"""RefineNet (Lin et al. 2017) over a ResNet of output stride 32: each refinement joins a finer map to the last.

As in the authors' 4-cascaded network: 512 channels for the coarsest map and 256 for the others, two residual
units for each input and three for the output, four chained 5x5 poolings, dropout 0.5 on the two coarsest maps and
before the classifier, a 3x3 classifier, no batch norm in the decoder. The 3x3 convolutions of a residual unit have
a bias in the first only.

`_4` to `_32` in a name say how much coarser than the images a map is.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from stages.nets.layers import conv, initialise, resized, scaled
from stages.nets.resnet_strided import StridedResNet


class ResidualUnit(nn.Module):
    """ReLU and 3x3 convolution, twice, beside the identity (figure 3b)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels, 3, bias=True)
        self.second = conv(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to the same."""
        out: Tensor = x + self.second(F.relu(self.first(F.relu(x))))
        return out


class ChainedPooling(nn.Module):
    """ReLU, then a chain of 5x5 max-pools and 3x3 convolutions, the sum of all its links (figure 3d)."""

    def __init__(self, channels: int, links: int = 4) -> None:
        super().__init__()
        self.links = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(5, stride=1, padding=2), conv(channels, channels, 3)) for _ in range(links)
        )

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to the same."""
        total = link = F.relu(x)
        for each in self.links:
            link = each(link)
            total = total + link
        return total


class Adapter(nn.Module):
    """A backbone's map brought to the decoder's channels and adapted by two residual units."""

    def __init__(self, channels: int, out_channels: int, joins: bool) -> None:
        """`joins`: whether a coarser map is added afterwards, for which one more convolution prepares."""
        super().__init__()
        joint = [conv(out_channels, out_channels, 3)] if joins else []
        self.layers = nn.Sequential(
            conv(channels, out_channels, 3), ResidualUnit(out_channels), ResidualUnit(out_channels), *joint
        )

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to N x out_channels x h x w."""
        out: Tensor = self.layers(x)
        return out


def refinement(channels: int, out_channels: int | None) -> nn.Sequential:
    """Chained pooling, three residual units and, where a finer map follows, a convolution to its channels."""
    last = [] if out_channels is None else [conv(channels, out_channels, 3)]
    return nn.Sequential(ChainedPooling(channels), *(ResidualUnit(channels) for _ in range(3)), *last)


class RefineNet(nn.Module):
    """Backbone, four refinements from coarse to fine, 3x3 classifier; `logits` lie at 1/4.

    Taps: `backbone` is layer4's map (1/32), `pyramid` the last refinement's after dropout (1/4), which the
    classifier reads. There is no auxiliary head.
    """

    def __init__(self, backbone: StridedResNet, coarse_channels: int, channels: int, classes: int) -> None:
        super().__init__()
        c4, c8, c16, c32 = backbone.channels
        self.backbone = backbone
        self.aux_head: nn.Module | None = None
        self.tap_channels = {"logits": classes, "backbone": c32, "pyramid": channels}
        self.dropout = nn.Dropout(0.5)
        self.adapt_32, self.refine_32 = (
            Adapter(c32, coarse_channels, joins=False),
            refinement(coarse_channels, channels),
        )
        self.adapt_16, self.refine_16 = Adapter(c16, channels, joins=True), refinement(channels, channels)
        self.adapt_8, self.refine_8 = Adapter(c8, channels, joins=True), refinement(channels, channels)
        self.adapt_4, self.refine_4 = Adapter(c4, channels, joins=True), refinement(channels, None)
        self.head = conv(channels, classes, 3, bias=True)
        initialise(self)

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """Normalised float images to `logits` and taps, each N x C x h x w."""
        map_4, map_8, map_16, map_32 = self.backbone(images_NCHW)
        x_32 = self.refine_32(self.adapt_32(self.dropout(map_32)))
        x_16 = self.refine_16(self.adapt_16(self.dropout(map_16)) + resized(x_32, map_16))
        x_8 = self.refine_8(self.adapt_8(map_8) + resized(x_16, map_8))
        pyramid = self.dropout(self.refine_4(self.adapt_4(map_4) + resized(x_8, map_4)))
        return {"logits": self.head(pyramid), "backbone": map_32, "pyramid": pyramid}


def refinenet_resnet(classes: int, depth: int, width: float = 1.0) -> RefineNet:
    """RefineNet-R`depth`, every width scaled by `width`."""
    return RefineNet(StridedResNet(depth, width), scaled(512, width), scaled(256, width), classes)
